"""The agents of a desk: smolagents' tool-calling agent, bound to one trader's seat and to one turn at a time.

Stock smolagents spends most of a run on compiling the templates of its prompts and on rich text for a log that nobody
reads. Here a prompt is rendered once per desk, an agent is made once per trader and reset for every round, and the log
is silent; all else, the loop of steps, the memory and the tools' protocol, is smolagents' own.
"""

from collections.abc import Iterator
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

from swarm.agents.config import ToolName
from swarm.agents.decision import DecisionError
from swarm.agents.desk_tools import FINAL_ANSWER, Refusal, Seat, quoted, spec
from swarm.agents.desk_turn import DeskTurn, Stopped, TurnUnderWay
from swarm.agents.observation import Observation
from swarm.agents.turns import kept_text
from swarm.llm.protocol import Message, Role

MAX_NAME_CHARS = 80

_ROLES: dict[MessageRole, Role] = {
    MessageRole.SYSTEM: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.TOOL_RESPONSE: "user",
}


class _Silent(AgentLogger):  # type: ignore[misc]  # smolagents ships no types
    """A log that nobody reads, and that makes no text for nobody."""

    def __init__(self) -> None:
        # The stock constructor makes a rich console; without one nothing is ever rendered.
        self.level = LogLevel.OFF
        self.console = None

    def log(self, *args: Any, **options: Any) -> None:
        """Says nothing."""

    log_error = log_markdown = log_code = log_rule = log_task = log_messages = log


_SILENT = _Silent()


class _SeatModel(Model):  # type: ignore[misc]
    """smolagents' view of one of our models, for one agent."""

    def __init__(self) -> None:
        super().__init__(model_id=None)
        self.call: TurnUnderWay | None = None

    def generate(self, messages: list[ChatMessage], *_: Any, **__: Any) -> ChatMessage:
        """Asks for the next step. The request's schema already says what smolagents says of stop strings and tools."""
        call = _under_way(self.call)
        reply = call.ask(_flat(messages))
        return ChatMessage(
            role=MessageRole.ASSISTANT,
            content=call.told_back,
            token_usage=AgentTokenUsage(reply.usage.prompt, reply.usage.completion),
        )

    def parse_tool_calls(self, message: ChatMessage) -> ChatMessage:
        """Takes the calls that the reply was read as; ValueError tells the model what is wrong with it."""
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
        """Uses the tool on its own seat."""
        return self.use(arguments)

    def use(self, arguments: dict[str, Any]) -> str:
        """Returns the same with arguments as they came, whose names may be any text; Refusal where they are wrong."""
        return self.seat.use(self.name, arguments)


class SeatAgent(ToolCallingAgent):  # type: ignore[misc]
    """The agent of one trader."""

    def __init__(self, system: str, seat: Seat) -> None:
        self.seat = seat
        self._system = system
        super().__init__(
            tools=[_SeatTool(name, seat) for name in seat.config.tools],
            model=_SeatModel(),
            prompt_templates=dict(EMPTY_PROMPT_TEMPLATES),
            max_steps=seat.config.max_steps,
            logger=_SILENT,
        )

    def initialize_system_prompt(self) -> str:
        """Returns the desk's prompt, rendered once."""
        return self._system

    def turn(self, seen: Observation, task: str, call: TurnUnderWay) -> DeskTurn:
        """Returns this trader's turn of one round, whatever its model does."""
        started = perf_counter()
        # The desk's deadline is the round's; a trader's own limit of seconds may end its turn before.
        call.until = min(call.until, started + self.seat.config.max_seconds)
        self.seat.begin(seen)
        self.model.call = call
        thought = ""
        try:
            answer = self.run(task)
            # What smolagents returns without a final answer is its own words, not the model's.
            thought = str(answer) if call.finished else ""
        except AgentGenerationError as error:
            # What the model said wrong was told to it and went on; here `ask` has stopped the turn itself.
            if not isinstance(error.__cause__, Stopped):
                raise
        finally:
            self.model.call = None
        return call.done(self.seat.decision(thought), self.seat.pruned_messages)

    def process_tool_calls(self, chat_message: ChatMessage, memory_step: ActionStep) -> Iterator[ToolOutput]:
        """Uses one tool after another, the last answer last; smolagents would use all at once, in no order."""
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
        """Uses a tool of this seat; what it returns, and what it refuses, comes back as quoted data."""
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
        """Does nothing: a stock agent asks the model once more, but here what is not finished by then has failed."""


def _under_way(call: TurnUnderWay | None) -> TurnUnderWay:
    if call is None:
        raise RuntimeError("an agent was run outside of a turn")
    return call


def _flat(messages: list[ChatMessage]) -> tuple[Message, ...]:
    """Returns smolagents' messages as ours: text alone, roles in turn, without its own copy of the reply's calls."""
    flat: list[Message] = []
    for message in messages:
        role = _ROLES.get(message.role)
        # smolagents repeats the calls under a role of its own.
        if role is None:
            continue
        content = message.content
        text = content if isinstance(content, str) else "\n".join(part["text"] for part in content or ())
        # Chat templates of many models refuse two messages of one role in a row.
        if flat and flat[-1].role == role:
            text = f"{flat.pop().content}\n{text}"
        flat.append(Message(role, text))
    return tuple(flat)
