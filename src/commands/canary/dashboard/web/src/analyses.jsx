// Analysis runs: verdicts, values and limits.
import { Plot, nice } from "./charts.jsx";
import { Badge } from "./parts.jsx";
import { Ago } from "./words.jsx";

export function Analyses({ analyses }) {
  if (analyses.length === 0) return null;
  return (
    <section aria-labelledby="analyses">
      <h2 id="analyses">Analysis</h2>
      {[...analyses].reverse().map((run) => (
        <article key={run.name} class="run">
          <h3>
            {run.step === undefined ? "Background" : `Step ${run.step + 1}`} <Badge word={run.phase} />
          </h3>
          {run.message && <p>{run.message}</p>}
          {run.metrics.map((metric) => (
            <Metric key={metric.name} metric={metric} />
          ))}
        </article>
      ))}
    </section>
  );
}

function Metric({ metric }) {
  const last = metric.measurements?.at(-1);
  const number = metric.numbers.at(-1);
  return (
    <div class="metric">
      <h4>
        {metric.name} <Badge word={metric.phase} />
      </h4>
      <Plot metric={metric} />
      <p>
        {last ? (
          <>
            Last <strong>{Number.isFinite(number) ? nice(number) : last.value || last.message}</strong>,{" "}
            <Ago at={last.at} after=" ago" />
          </>
        ) : (
          "Not measured yet"
        )}
        {counts(metric) && `; ${counts(metric)}`}
      </p>
      {metric.message && metric.message !== last?.message && <p>{metric.message}</p>}
      <p class="soft">{conditions(metric).filter(Boolean).join(" · ")}</p>
      {metric.query && (
        <details>
          <summary>Query of {metric.provider}</summary>
          <pre tabIndex={0}>
            <code>{metric.query}</code>
          </pre>
        </details>
      )}
    </div>
  );
}

function counts({ successful, failed, inconclusive, error }) {
  const all = [
    [successful, "good"],
    [failed, "bad"],
    [inconclusive, "undecided"],
    [error, "errors"],
  ];
  return all
    .filter(([number]) => number > 0)
    .map(([number, word]) => `${number} ${word}`)
    .join(", ");
}

function conditions({ successCondition, failureCondition }) {
  return [successCondition && `good if ${successCondition}`, failureCondition && `bad if ${failureCondition}`];
}
