// What both pages are made of.
import { shortAll } from "./words.jsx";

const TONES = {
  Healthy: "good",
  Successful: "good",
  Promoted: "good",
  Degraded: "bad",
  Aborting: "bad",
  Aborted: "bad",
  Failed: "bad",
  Error: "bad",
  Paused: "wait",
  Inconclusive: "wait",
};

// A shape for each tone, since colours alone are not for everybody.
const SHAPES = {
  good: "M3.5 8.5 6.5 11.5 12.5 4.5",
  bad: "M4.5 4.5 11.5 11.5M11.5 4.5 4.5 11.5",
  wait: "M5.5 4v8M10.5 4v8",
  move: "M5.5 3.5 11.5 8 5.5 12.5",
};

export const toneOf = (word) => TONES[word] ?? "move";

/// A phase or verdict.
export function Badge({ word }) {
  const tone = toneOf(word);
  return (
    <span class={`badge ${tone}`}>
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <path d={SHAPES[tone]} />
      </svg>
      {word}
    </span>
  );
}

/// How the traffic is split: observed as the bar, desired as a mark on it.
export function Split({ rollout }) {
  const { weight, observedWeight, actualWeight } = rollout;
  const shown = observedWeight ?? actualWeight ?? 0;
  const words = weightWords(rollout);
  return (
    <span class="split" role="img" aria-label={words} title={words}>
      <span class="canary" style={{ width: `${shown}%` }} />
      {observedWeight === undefined && <span class="desired" style={{ left: `${weight}%` }} />}
    </span>
  );
}

export function weightWords({ weight, observedWeight }) {
  if (observedWeight !== undefined) return `${observedWeight} % of the traffic goes to the canary`;
  return `${weight} % to the canary is desired, and not in force yet`;
}

/// What serves, and what is tried.
export function Versions({ row }) {
  const [stable, canary] = [shortAll(row.stable), shortAll(row.canary)];
  const all = [...(row.stable?.images ?? []), ...(row.canary?.images ?? [])].join("\n");
  return (
    <span class="versions" title={all}>
      <code>{stable}</code>
      {canary && canary !== stable && (
        <>
          <span class="arrow" aria-label="to">
            {" "}
            →{" "}
          </span>
          <code class="new">{canary}</code>
        </>
      )}
    </span>
  );
}

/// What a watch cannot show, in the words of the API server.
export function Troubles({ troubles }) {
  const lines = Object.entries(troubles ?? {});
  return lines.map(([what, why]) => (
    <p class="note bad" role="alert" key={what}>
      Cannot watch {what}: {why}
    </p>
  ));
}
