// Draws one committed dashboard with Grafana's own panel components, with what a Prometheus has of a run.
//
// The page's query says which and of what: dashboard, prometheus (an address), from and to (milliseconds), scrape_s.
// It knows the panel types and options that swarm/monitoring/dashboards uses, and says so where it meets another.

import {
  createTheme,
  dateTime,
  EventBusSrv,
  FieldType,
  getDisplayProcessor,
  getFieldDisplayValues,
  ThemeContext,
} from '@grafana/data';
import { BarGauge, BigValue, GlobalStyles, PanelChrome, PanelContextProvider, TimeSeries, VizRepeater } from '@grafana/ui';
import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

const CELL = { height: 30, gap: 8, columns: 24 };
const theme = createTheme({ colors: { mode: 'dark' } });
const asked = new URLSearchParams(location.search);
const span = { from: Number(asked.get('from')), to: Number(asked.get('to')) };
const eventBus = new EventBusSrv();
const scrapeS = Number(asked.get('scrape_s') ?? 15);
const progress = { panels: 0, drawn: 0, empty: [], failed: [] };

function report() {
  Object.assign(document.body.dataset, {
    drawn: `${progress.drawn}/${progress.panels}`,
    empty: JSON.stringify(progress.empty),
    failed: JSON.stringify(progress.failed),
  });
}

// What breaks while a panel is drawn takes the page with it, so it must not pass for a picture.
addEventListener('error', (event) => {
  progress.failed.push(event.message);
  report();
});

async function prometheus(path, parameters) {
  const response = await fetch(`${asked.get('prometheus')}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const answer = await response.json();
  if (answer.status !== 'success') throw new Error(answer.error ?? response.statusText);
  return answer.data;
}

function substituted(text, values) {
  return text.replace(/\$\{?(\w+)\}?/g, (whole, name) => values[name] ?? whole);
}

async function chooseVariables(dashboard) {
  const chosen = {};
  const options = {};
  for (const variable of dashboard.templating.list) {
    if (variable.type !== 'query') continue;
    const [, series, label] = variable.query.query.match(/^label_values\((.+), *(\w+)\)$/);
    const times = { start: span.from / 1000, end: span.to / 1000 };
    const found = await prometheus(`label/${label}/values`, { ...times, 'match[]': substituted(series, chosen) });
    options[variable.name] = found.sort();
    chosen[variable.name] = variable.includeAll ? variable.allValue : found[found.length - 1];
  }
  return { chosen, options };
}

async function frames(panel, values, width) {
  const stepS = Math.max(scrapeS, Math.ceil((span.to - span.from) / 1000 / width));
  const builtIn = {
    __rate_interval: `${Math.max(stepS + scrapeS, 4 * scrapeS)}s`,
    __interval: `${stepS}s`,
    __range: `${Math.ceil((span.to - span.from) / 1000)}s`,
  };
  const range = { start: span.from / 1000, end: span.to / 1000, step: stepS };
  const found = [];
  for (const target of panel.targets) {
    const query = substituted(target.expr, { ...values, ...builtIn });
    const { result } = await prometheus('query_range', { ...range, query });
    for (const series of result) {
      const name = target.legendFormat.replace(/\{\{(\w+)\}\}/g, (_, label) => series.metric[label] ?? `no ${label}`);
      const byTime = new Map(series.values.map(([seconds, value]) => [Math.round(seconds * 1000), Number(value)]));
      // A point for every step, so that a series without a value has a gap there.
      const times = [];
      for (let t = span.from; t <= span.to; t += stepS * 1000) times.push(t);
      const points = times.map((t) => byTime.get(t) ?? null).map((v) => (Number.isFinite(v) ? v : null));
      if (points.some((v) => v !== null)) found.push(frame(panel, name, times, points, found.length));
    }
  }
  // As Grafana does: what has no bounds of its own has those of all series together.
  const fields = found.map((f) => f.fields[1]);
  const all = extent(fields.flatMap((field) => field.values));
  for (const field of fields) {
    const [min, max] = [field.config.min ?? all.min, field.config.max ?? all.max];
    field.state.range = { min, max, delta: max - min };
  }
  for (const f of found) for (const field of f.fields) field.display = getDisplayProcessor({ field, theme });
  return found;
}

function frame(panel, name, times, points, seriesIndex) {
  const { defaults } = panel.fieldConfig;
  const time = { name: 'Time', type: FieldType.time, values: times, config: {} };
  const value = {
    name: 'Value',
    type: FieldType.number,
    values: points,
    config: { ...defaults, displayNameFromDS: name, custom: { ...defaults.custom } },
    state: { seriesIndex, displayName: name },
  };
  return { name, fields: [time, value], length: times.length };
}

function extent(points) {
  const values = points.filter((v) => v !== null);
  const [min, max] = [Math.min(...values), Math.max(...values)];
  return { min, max };
}

function reduced(panel, data) {
  const common = { fieldConfig: panel.fieldConfig, replaceVariables: (text) => text, theme, data, timeZone: 'browser' };
  return getFieldDisplayValues({ ...common, reduceOptions: panel.options.reduceOptions, sparkline: true });
}

function Stat({ panel, data, width, height }) {
  const draw = ({ value, width, height, count }) => (
    <BigValue
      theme={theme}
      value={value.display}
      count={count}
      width={width}
      height={height}
      sparkline={panel.options.graphMode === 'none' ? undefined : value.sparkline}
      colorMode={panel.options.colorMode}
      graphMode={panel.options.graphMode}
      justifyMode={panel.options.justifyMode}
      textMode={count > 1 ? 'value_and_name' : 'value'}
    />
  );
  return <Repeated panel={panel} data={data} width={width} height={height} draw={draw} autoGrid />;
}

function Bars({ panel, data, width, height }) {
  const draw = ({ value, width, height, alignmentFactors }) => (
    <BarGauge
      theme={theme}
      value={value.display}
      field={value.field}
      display={value.view?.getFieldDisplayProcessor(value.colIndex)}
      width={width}
      height={height}
      orientation="horizontal"
      alignmentFactors={alignmentFactors}
      displayMode={panel.options.displayMode}
      valueDisplayMode={panel.options.valueMode}
      namePlacement={panel.options.namePlacement}
      showUnfilled={panel.options.showUnfilled}
      itemSpacing={8}
    />
  );
  return <Repeated panel={panel} data={data} width={width} height={height} draw={draw} orientation="horizontal" />;
}

function Repeated({ panel, data, width, height, draw, orientation = 'auto', autoGrid = false }) {
  return (
    <VizRepeater
      source={data}
      getValues={() => reduced(panel, data)}
      getAlignmentFactors={(values) => ({
        title: values.map((v) => v.display.title ?? '').reduce((a, b) => (b.length > a.length ? b : a), ''),
        text: values.map((v) => v.display.text).reduce((a, b) => (b.length > a.length ? b : a), ''),
        suffix: values[0]?.display.suffix ?? '',
        prefix: values[0]?.display.prefix ?? '',
      })}
      renderValue={draw}
      renderCounter={0}
      width={width}
      height={height}
      itemSpacing={8}
      minVizHeight={16}
      maxVizHeight={orientation === 'horizontal' ? 60 : undefined}
      orientation={orientation}
      autoGrid={autoGrid}
    />
  );
}

function Lines({ panel, data, width, height }) {
  const range = { from: dateTime(span.from), to: dateTime(span.to), raw: { from: 'now-1h', to: 'now' } };
  return (
    <PanelContextProvider value={{ eventBus, sync: () => 0 }}>
      <TimeSeries
        frames={data}
        structureRev={1}
        timeRange={range}
        timeZone="browser"
        width={width}
        height={height}
        legend={panel.options.legend}
        options={panel.options}
      />
    </PanelContextProvider>
  );
}

const KINDS = { stat: Stat, bargauge: Bars, timeseries: Lines };

function Panel({ panel, values, width, height }) {
  const [state, setState] = useState({ data: null, error: null });
  useEffect(() => {
    frames(panel, values, width).then(
      (data) => {
        if (!data.length) progress.empty.push(panel.title);
        setState({ data, error: null });
      },
      (error) => {
        progress.failed.push(`${panel.title}: ${error.message}`);
        setState({ data: [], error });
      }
    ).finally(() => {
      progress.drawn += 1;
      report();
    });
  }, []);
  const Kind = KINDS[panel.type];
  return (
    <PanelChrome title={substituted(panel.title, values)} description={panel.description} width={width} height={height}>
      {(innerWidth, innerHeight) => {
        if (!Kind) return <p>This preview draws no panels of type {panel.type}.</p>;
        if (state.error) return <p style={{ color: theme.colors.error.text }}>{state.error.message}</p>;
        if (!state.data) return null;
        if (!state.data.length)
          return <div style={{ ...centred, width: innerWidth, height: innerHeight }}>No data</div>;
        return <Kind panel={panel} data={state.data} width={innerWidth} height={innerHeight} />;
      }}
    </PanelChrome>
  );
}

const centred = { display: 'flex', alignItems: 'center', justifyContent: 'center', color: theme.colors.text.secondary };

function unfolded(panels, options) {
  return panels.flatMap((panel) => {
    const values = panel.repeat ? options[panel.repeat] : [];
    if (!values.length) return [{ panel, own: {} }];
    const w = Math.floor(CELL.columns / Math.min(values.length, panel.maxPerRow ?? values.length));
    return values.map((value, i) => ({
      panel: { ...panel, gridPos: { ...panel.gridPos, w, x: (i * w) % CELL.columns } },
      own: { [panel.repeat]: value },
    }));
  });
}

function Dashboard({ dashboard, chosen, options }) {
  const column = (innerWidth - 2 * CELL.gap + CELL.gap) / CELL.columns;
  const row = CELL.height + CELL.gap;
  const top = 84;
  const shown = unfolded(dashboard.panels, options);
  progress.panels = shown.filter(({ panel }) => panel.type !== 'row').length;
  return (
    <>
      <div style={{ padding: '12px 12px 0', color: theme.colors.text.primary, font: '500 18px/1.3 inherit' }}>{dashboard.title}</div>
      <div style={{ padding: '8px 12px', color: theme.colors.text.secondary, fontSize: 13 }}>
        {dashboard.templating.list
          .filter(({ type }) => type === 'query')
          .map((v) => `${v.label}: ${v.includeAll ? 'All' : chosen[v.name]}`)
          .join('   ·   ')}
      </div>
      {shown.map(({ panel, own }, i) => {
        const { x, y, w, h } = panel.gridPos;
        const box = { position: 'absolute', left: CELL.gap + x * column, top: top + y * row };
        const size = { width: w * column - CELL.gap, height: h * row - CELL.gap };
        return (
          <div key={i} style={{ ...box, ...size }}>
            {panel.type === 'row' ? (
              <div style={{ color: theme.colors.text.primary, fontWeight: 500, padding: '4px 8px' }}>⌄ {panel.title}</div>
            ) : (
              <Panel panel={panel} values={{ ...chosen, ...own }} {...size} />
            )}
          </div>
        );
      })}
    </>
  );
}

async function main() {
  const dashboard = await (await fetch(`${asked.get('dashboard')}.json`)).json();
  const variables = await chooseVariables(dashboard);
  createRoot(document.getElementById('root')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <Dashboard dashboard={dashboard} {...variables} />
    </ThemeContext.Provider>
  );
}

main().catch((error) => {
  progress.failed.push(String(error));
  report();
});
