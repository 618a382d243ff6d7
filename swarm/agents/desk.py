"""Desks: smolagents' tool-calling agents that think with our models and hold tools bound to one trader each.

This module needs smolagents and is imported only where a run has desks. There is no code agent: agents emit data.

Stock smolagents spends most of a run on compiling the templates of its prompts and on rich text for a log that nobody
reads. Here a prompt is rendered once per desk, an agent is made once per trader and reset for every round, and the log
is silent; all else, the loop of steps, the memory and the tools' protocol, is smolagents' own.

smolagents is synchronous, so agents run in threads, and their models' calls go back to the event loop.
"""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from smolagents import (
    ActionStep,
    AgentGenerationError,
    AgentLogger,
    ChatMessage,
    LogLevel,
    MessageRole,
    Model,
    Tool,
    ToolCallingAgent,
)
from smolagents.agents import EMPTY_PROMPT_TEMPLATES, ToolCall, ToolOutput
from smolagents.models import ChatMessageToolCall, ChatMessageToolCallFunction
from smolagents.monitoring import TokenUsage as AgentTokenUsage

from swarm.agents.config import DeskConfig, ToolName
from swarm.agents.decision import DecisionError, Rules
from swarm.agents.desk_tools import (
    FINAL_ANSWER,
    Refusal,
    Seat,
    alone,
    call_schema,
    quoted,
    spec,
    system_text,
    task_text,
)
from swarm.agents.desk_trace import DeskStep, Trace
from swarm.agents.form import Repair
from swarm.agents.observation import Observation
from swarm.agents.tool_calls import CallsRead, read_calls
from swarm.agents.turns import Call, kept_text, prompt_digest
from swarm.llm.asking import asked_of
from swarm.llm.marks import unmarked
from swarm.llm.protocol import FinishReason, Message, ModelClient, ModelReply, ModelRequest, Role, TokenUsage
from swarm.llm.tokens import (
    ESTIMATED,
    MESSAGE_OVERHEAD,
    TokenSize,
    count_tokens,
    count_tokens_cached,
    further_digits,
    further_digits_cached,
)

THREADS = 128
"""Most traders of one desk and shard that are at it at once."""

MIN_COMPLETION_TOKENS = 16
"""Fewer tokens than this hold no tool call, so a desk that has no more left is over its budget."""

MAX_NAME_CHARS = 80

GRACE_S = 1.0
"""What a client may take beyond its deadline before it is given up."""

_ROLES: dict[MessageRole, Role] = {
    MessageRole.SYSTEM: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.TOOL_RESPONSE: "user",
}


@dataclass(frozen=True, slots=True)
class DeskTurn:
    """A trader's turn at a desk: the text of its trace, and what it took."""

    text: str
    finish_reason: FinishReason
    usage: TokenUsage
    pruned_messages: int
    calls: tuple[Call, ...]


class Desk:
    """All traders of one desk in a shard. An agent keeps nothing from one round to the next."""

    def __init__(
        self,
        config: DeskConfig,
        client: ModelClient,
        completion_tokens: int,
        rules: Rules,
        scenario_rules: str,
        tick_cents: int,
        model: str = "",
    ) -> None:
        """`model` is the name of the client's model, if not the one that the desk's config names."""
        self.config = config
        self.model = model or config.model
        self.client = client
        self.completion_tokens = completion_tokens
        self.rules = rules
        self.tick_cents = tick_cents
        self.system = system_text(scenario_rules, config, rules)
        self.schema = call_schema(config, rules)
        self._agents: dict[int, _SeatAgent] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"desk-{config.name}")

    async def decide(
        self, seen: Observation, rows: Sequence[int], seeds: Sequence[int], deadline_s: float
    ) -> list[DeskTurn]:
        """A turn for each of these rows of `seen.private`, all within `deadline_s` seconds."""
        loop = asyncio.get_running_loop()
        until = perf_counter() + deadline_s
        task = task_text(seen)
        turns = []
        for row, seed in zip(rows, seeds, strict=True):
            turn = self.agent(int(seen.private.trader[row])).turn
            call = _Call(self, loop, until, seed, seen.public.sizes.get(self.model, ESTIMATED))
            turns.append(loop.run_in_executor(self._threads, turn, alone(seen, row), task, call))
        return list(await asyncio.gather(*turns))

    def agent(self, trader: int) -> "_SeatAgent":
        """The one agent of a trader, with tools that are bound to this trader's seat."""
        if trader not in self._agents:
            self._agents[trader] = _SeatAgent(self, Seat(trader, self.config, self.rules, self.tick_cents))
        return self._agents[trader]


class _Stopped(Exception):
    """The turn ends here, without a decision."""


class _Call:
    """One turn's way to the model: what it may still spend, and what came of its steps."""

    def __init__(self, desk: Desk, loop: asyncio.AbstractEventLoop, until: float, seed: int, size: TokenSize) -> None:
        self.desk = desk
        self.loop = loop
        self.until = until
        self.seed = seed
        self.size = size
        self.spent = TokenUsage(0, 0)
        self.steps: list[DeskStep] = []
        self.calls: list[Call] = []
        self.read: CallsRead | DecisionError = DecisionError.NOT_JSON
        self.finish_reason: FinishReason = "stop"
        self.ended = ""
        self.finished = False

    def ask(self, messages: tuple[Message, ...]) -> ModelReply:
        """The model's next reply; _Stopped where there is none, no time or no budget for one."""
        left_s = self.until - perf_counter()
        estimate = sum(
            (count_tokens_cached if m.role == "system" else count_tokens)(m.content) + MESSAGE_OVERHEAD
            for m in messages
        )
        digits = sum((further_digits_cached if m.role == "system" else further_digits)(m.content) for m in messages)
        room = self.desk.config.max_tokens - self.spent.total - self.size.of(estimate, digits)
        if room < MIN_COMPLETION_TOKENS:
            self.ended = DecisionError.OVER_BUDGET
            raise _Stopped
        request = ModelRequest(messages, self.desk.schema, min(self.desk.completion_tokens, room), self.seed)
        reply = self._complete(request, left_s) if left_s > 0 else _failed("deadline")
        self.calls.append(Call(self.desk.model, prompt_digest(messages), reply))
        self.spent = TokenUsage(
            self.spent.prompt + reply.usage.prompt,
            self.spent.completion + reply.usage.completion,
            self.spent.cached_prompt + reply.usage.cached_prompt,
        )
        # What a step's prompt took in the engine's tokens says what the next one will.
        self.size = self.size.learned(reply.usage.prompt, estimate, digits)
        if reply.failed:
            self.finish_reason = reply.finish_reason
            raise _Stopped
        text = kept_text(reply.text)
        self.steps.append(DeskStep(text, reply.usage.prompt, reply.usage.completion))
        self.read = read_calls(text, reply.finish_reason == "length")
        return reply

    def _complete(self, request: ModelRequest, left_s: float) -> ModelReply:
        future = asyncio.run_coroutine_threadsafe(asked_of(self.desk.client, [request], left_s), self.loop)
        try:
            (reply,) = future.result(left_s + GRACE_S)
        except TimeoutError:
            future.cancel()
            return _failed("deadline")
        except Exception as error:
            # The event loop has ended, which costs this turn alone.
            return _failed("error", type(error).__name__)
        return reply

    @property
    def told_back(self) -> str:
        """What the model is shown of its last reply: as it wrote it, or its calls in the form that was asked for."""
        reply = self.steps[-1].reply
        if isinstance(self.read, CallsRead) and (Repair.NATIVE_CALL in self.read.repairs or unmarked(reply) != reply):
            # A model's own marks are broken in a message, and must not teach it to write broken ones.
            return "\n".join(kept_text(one.to_text()) for one in self.read.calls)
        return reply

    def note(self, **changes: Any) -> None:
        """Say what the last reply came to."""
        self.steps[-1] = replace(self.steps[-1], **changes)

    def returned(self, result: str, fault: str) -> None:
        """Add what one call of the last reply came to; of its faults the first is counted."""
        last = self.steps[-1]
        self.note(result=f"{last.result}\n{result}" if last.result else result, fault=last.fault or fault)


def _failed(reason: FinishReason, text: str = "") -> ModelReply:
    return ModelReply(text, TokenUsage(0, 0), reason, 0.0)


class _Silent(AgentLogger):  # type: ignore[misc]  # smolagents ships no types
    """A log that nobody reads, and that makes no text for nobody."""

    def __init__(self) -> None:
        self.level = LogLevel.OFF
        self.console = None

    def log(self, *args: Any, **options: Any) -> None:
        """Nothing."""

    log_error = log_markdown = log_code = log_rule = log_task = log_messages = log


_SILENT = _Silent()


class _SeatModel(Model):  # type: ignore[misc]
    """smolagents' view of one of our models, for one agent."""

    def __init__(self) -> None:
        super().__init__(model_id=None)
        self.call: _Call | None = None

    def generate(self, messages: list[ChatMessage], *_: Any, **__: Any) -> ChatMessage:
        """Ask for the next step; what smolagents says of stop strings and tools, the request's schema says already."""
        call = _under_way(self.call)
        reply = call.ask(_flat(messages))
        return ChatMessage(
            role=MessageRole.ASSISTANT,
            content=call.told_back,
            token_usage=AgentTokenUsage(reply.usage.prompt, reply.usage.completion),
        )

    def parse_tool_calls(self, message: ChatMessage) -> ChatMessage:
        """Take the calls that the reply was read as; ValueError tells the model what is wrong with it."""
        call = _under_way(self.call)
        found = call.read
        if isinstance(found, DecisionError):
            told = f"{found.value}; answer with one JSON object that has name and arguments"
            call.note(fault=found.value, result=told)
            raise ValueError(told)
        names = ", ".join(kept_text(one.name[:MAX_NAME_CHARS]) for one in found.calls)
        call.note(tool=names, repairs=tuple(kind.value for kind in found.repairs))
        message.tool_calls = [
            ChatMessageToolCall(
                function=ChatMessageToolCallFunction(name=one.name, arguments=one.arguments),
                id=f"{len(call.steps)}.{number}",
                type="function",
            )
            for number, one in enumerate(found.calls)
        ]
        return message


class _SeatTool(Tool):  # type: ignore[misc]
    """One tool of one seat, as smolagents wants it."""

    output_type = "string"
    skip_forward_signature_validation = True

    def __init__(self, name: ToolName, seat: Seat) -> None:
        self.name = name
        self.seat = seat
        self.description = spec(name).description
        self.inputs = {
            key: {"type": value.get("type", "string"), "description": key}
            for key, value in spec(name).arguments(seat.rules).items()
        }
        super().__init__()

    def forward(self, **arguments: Any) -> str:
        """Use the tool on its own seat."""
        return self.use(arguments)

    def use(self, arguments: dict[str, Any]) -> str:
        """The same with arguments as they came, whose names may be any text; Refusal where they are wrong."""
        return self.seat.use(self.name, arguments)


class _SeatAgent(ToolCallingAgent):  # type: ignore[misc]
    """The agent of one trader."""

    def __init__(self, desk: Desk, seat: Seat) -> None:
        self.seat = seat
        self._system = desk.system
        super().__init__(
            tools=[_SeatTool(name, seat) for name in desk.config.tools],
            model=_SeatModel(),
            prompt_templates=dict(EMPTY_PROMPT_TEMPLATES),
            max_steps=desk.config.max_steps,
            logger=_SILENT,
        )

    def initialize_system_prompt(self) -> str:
        """The desk's prompt, rendered once."""
        return self._system

    def turn(self, seen: Observation, task: str, call: _Call) -> DeskTurn:
        """One round's turn of this trader, whatever its model does."""
        started = perf_counter()
        call.until = min(call.until, started + call.desk.config.max_seconds)
        self.seat.begin(seen)
        self.model.call = call
        thought = ""
        try:
            answer = self.run(task)
            thought = str(answer) if call.finished else ""
        except AgentGenerationError as error:
            # What the model said wrong was told to it and went on; here _Call.ask has stopped the turn itself.
            if not isinstance(error.__cause__, _Stopped):
                raise
        finally:
            self.model.call = None
        if not call.finished and not call.ended and call.finish_reason == "stop":
            call.ended = (call.steps[-1].fault if call.steps else "") or DecisionError.UNFINISHED
        decision = self.seat.decision(thought) if call.finished else {}
        return DeskTurn(
            Trace(tuple(call.steps), str(call.ended), decision).to_text(),
            call.finish_reason,
            call.spent,
            self.seat.pruned_messages,
            tuple(call.calls),
        )

    def process_tool_calls(self, chat_message: ChatMessage, memory_step: ActionStep) -> Iterator[ToolOutput]:
        """Use one tool after another, the last answer last; smolagents would use all at once, in no order."""
        results = []
        for asked in sorted(chat_message.tool_calls, key=lambda one: bool(one.function.name == FINAL_ANSWER)):
            name, arguments = asked.function.name, asked.function.arguments
            result = self.execute_tool_call(name, arguments)
            results.append(result.strip())
            if name == FINAL_ANSWER:
                # smolagents refuses an answer that comes with other calls.
                chat_message.tool_calls = [asked]
                yield ToolOutput(asked.id, result, True, result, ToolCall(name, arguments, asked.id))
                break
        memory_step.observations = "\n".join(results)

    def execute_tool_call(self, tool_name: str, arguments: dict[str, Any]) -> str:
        """Use a tool of this seat; what it returns, and what it refuses, comes back as quoted data."""
        call = _under_way(self.model.call)
        if tool_name == FINAL_ANSWER:
            call.finished = True
            return kept_text(str(arguments.get("answer", "")))
        fault = ""
        try:
            tool = self.tools.get(tool_name)
            result = tool.use(arguments) if tool else self.seat.use(tool_name, arguments)
        except Refusal as refusal:
            fault, result = refusal.fault.value, f"REFUSED: {refusal}"
        left = self.max_steps - len(call.steps)
        text = quoted(f"RESULT, {left} steps left", result)
        call.returned(text, fault)
        return text

    def _handle_max_steps_reached(self, task: str) -> None:
        """Stock agents would ask the model once more; here what is not finished by then has failed."""


def _under_way(call: _Call | None) -> _Call:
    if call is None:
        raise RuntimeError("an agent was run outside of a turn")
    return call


def _flat(messages: list[ChatMessage]) -> tuple[Message, ...]:
    """Our messages of smolagents': text alone, roles in turn, without its own copy of what the reply has called."""
    flat: list[Message] = []
    for message in messages:
        role = _ROLES.get(message.role)
        if role is None:
            continue
        content = message.content
        text = content if isinstance(content, str) else "\n".join(part["text"] for part in content or ())
        if flat and flat[-1].role == role:
            text = f"{flat.pop().content}\n{text}"
        flat.append(Message(role, text))
    return tuple(flat)
