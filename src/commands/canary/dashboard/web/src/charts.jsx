// Small charts. Each says in words what it shows.
import { toneOf } from "./parts.jsx";
import { count } from "./words.jsx";

/// The canary's weight at each step of the plan: a setWeight raises it, every other step keeps it.
function weightsOf(plan) {
  let weight = 0;
  return plan.map((step) => {
    const set = /^setWeight: (\d+)/.exec(step);
    if (set) weight = Number(set[1]);
    return weight;
  });
}

const [WIDTH, HEIGHT, TOP, BASE] = [600, 132, 12, 116];
const yOf = (weight) => BASE - (weight / 100) * (BASE - TOP);

/// The plan as a staircase, up to the promotion; what has passed is filled.
export function Staircase({ rollout, phase }) {
  const weights = [...weightsOf(rollout.plan), 100];
  const width = WIDTH / weights.length;
  const isPromoting = phase === "Promoting";
  const at = isPromoting ? rollout.steps : (rollout.step ?? -1);
  const ends = phase === "Degraded" || phase === "Aborting";
  // At 0 it would be the base line.
  const observed = (rollout.observedWeight ?? rollout.actualWeight) || undefined;
  const words = `Plan of ${count(rollout.steps, "step")}: weights ${[...new Set(weights)].join(", ")} %`;
  return (
    <div class="chart">
      <svg
        class="staircase"
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={words}
        preserveAspectRatio="none"
      >
        {[0, 50, 100].map((level) => (
          <line key={level} class="grid" x1="0" x2={WIDTH} y1={yOf(level)} y2={yOf(level)} />
        ))}
        {weights.map((weight, index) => (
          <rect
            key={index}
            class={ends || index > at ? "ahead" : index === at ? "now" : "past"}
            x={index * width + 1.5}
            width={width - 3}
            y={yOf(Math.max(weight, 1))}
            height={BASE - yOf(Math.max(weight, 1))}
            rx="2"
          />
        ))}
        {observed !== undefined && <line class="observed" x1="0" x2={WIDTH} y1={yOf(observed)} y2={yOf(observed)} />}
      </svg>
      {[50, 100].map((level) => (
        <Label key={level} y={yOf(level) / HEIGHT} kind="level" text={`${level} %`} />
      ))}
      {observed !== undefined && <Label y={yOf(observed) / HEIGHT} kind="observed" text={`${observed} % observed`} />}
    </div>
  );
}

/// A text in a chart, which keeps its size whatever the chart's.
function Label({ y, kind, text }) {
  return (
    <span class={`label ${kind} ${y < 0.2 ? "below" : ""}`} style={{ top: `${y * 100}%` }} aria-hidden="true">
      {text}
    </span>
  );
}

const [PLOT_WIDTH, PLOT_HEIGHT, MARGIN] = [320, 84, 10];

/// Measurements that are numbers, with the limits that they are compared with.
export function Plot({ metric }) {
  const points = metric.numbers
    .map((value, index) => ({ value, phase: metric.measurements[index].phase }))
    .filter(({ value }) => Number.isFinite(value));
  if (points.length === 0) return null;
  const all = [...points.map(({ value }) => value), ...metric.limits];
  const [low, high] = rangeOf(all);
  const x = (index) => MARGIN + ((index + 0.5) / points.length) * (PLOT_WIDTH - 2 * MARGIN);
  const y = (value) => PLOT_HEIGHT - MARGIN - ((value - low) / (high - low)) * (PLOT_HEIGHT - 2 * MARGIN);
  const line = points.map(({ value }, index) => `${x(index)},${y(value)}`).join(" ");
  const values = points.map(({ value }) => nice(value)).join(", ");
  const limits = metric.limits.length ? `; ${count(metric.limits.length, "limit")}: ${metric.limits.join(", ")}` : "";
  return (
    <div class="chart">
      <svg
        class="plot"
        viewBox={`0 0 ${PLOT_WIDTH} ${PLOT_HEIGHT}`}
        role="img"
        aria-label={`${metric.name}, oldest first: ${values}${limits}`}
      >
        {metric.limits.map((limit) => (
          <line key={limit} class="limit" x1={MARGIN} x2={PLOT_WIDTH - MARGIN} y1={y(limit)} y2={y(limit)} />
        ))}
        <polyline class="values" points={line} />
        {points.map(({ value, phase }, index) => (
          <Mark key={index} x={x(index)} y={y(value)} tone={toneOf(phase)} />
        ))}
      </svg>
      {metric.limits.map((limit) => (
        <Label key={limit} y={y(limit) / PLOT_HEIGHT} kind="limit" text={`limit ${nice(limit)}`} />
      ))}
    </div>
  );
}

function Mark({ x, y, tone }) {
  if (tone === "bad") return <path class="mark bad" d={`M${x - 4} ${y - 4}l8 8m0-8l-8 8`} />;
  return <circle class={`mark ${tone}`} cx={x} cy={y} r="3.5" />;
}

/// The values with some room, also if all are equal.
function rangeOf(values) {
  const [low, high] = [Math.min(0, ...values), Math.max(...values)];
  const room = (high - low) * 0.12 || Math.abs(high) * 0.5 || 1;
  return [low < 0 ? low - room : low, high + room];
}

export const nice = (value) => String(Number(value.toPrecision(4)));
