// Orders: buttons, and a dialog that asks first.
import { useEffect, useRef, useState } from "preact/hooks";
import { give } from "./stream.js";
import { stepOf, shortAll } from "./words.jsx";

const LABELS = {
  promote: "Promote",
  "promote-full": "Promote fully",
  retry: "Retry",
  resume: "Resume",
  pause: "Pause",
  abort: "Abort",
};
const COMMANDS = { "promote-full": (name) => `promote ${name} --full` };
const commandOf = (order, name) => COMMANDS[order]?.(name) ?? `${order} ${name}`;

/// The orders that are possible now.
export function Orders({ rollout, readOnly, say }) {
  const [asked, ask] = useState(null);
  if (readOnly) return <p class="soft readonly">Read-only: orders are refused</p>;
  const possible = new Map(rollout.orders.filter(({ refused }) => !refused).map((it) => [it.order, it]));
  // Whoever can resume has paused already.
  if (possible.has("resume")) possible.delete("pause");
  const shown = Object.keys(LABELS).filter((order) => possible.has(order));
  if (shown.length === 0) return null;
  return (
    <>
      <div class="orders" role="group" aria-label="Orders">
        {shown.map((order, index) => (
          <button
            key={order}
            type="button"
            class={order === "abort" ? "danger" : index === 0 ? "primary" : ""}
            aria-haspopup="dialog"
            onClick={() => ask(possible.get(order))}
          >
            {LABELS[order]}
          </button>
        ))}
      </div>
      {asked && <Confirm key={asked.order} asked={asked} rollout={rollout} say={say} done={() => ask(null)} />}
    </>
  );
}

function Confirm({ asked, rollout, say, done }) {
  const { namespace, name } = rollout;
  const { order, effect } = asked;
  const dialog = useRef();
  const [state, setState] = useState({});
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    return () => before?.focus?.();
  }, []);
  const confirm = async (event) => {
    event.preventDefault();
    setState({ isSent: true });
    try {
      const warnings = await give(namespace, name, order);
      say([`Ordered ${order} of ${namespace}/${name}.`, ...warnings]);
      done();
    } catch (error) {
      setState({ error: error.message });
    }
  };
  return (
    <dialog
      ref={dialog}
      aria-labelledby="asked"
      aria-describedby="effect"
      onClose={done}
      // What becomes of an order that was sent is shown here.
      onCancel={(event) => state.isSent && event.preventDefault()}
    >
      <form onSubmit={confirm}>
        <h2 id="asked">
          {LABELS[order]} {namespace}/{name}?
        </h2>
        <p id="effect">
          {effect.split("`").map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part))}
        </p>
        <Facts rollout={rollout} />
        <p class="soft command">
          The same in a terminal:{" "}
          <code>
            kubectl canary {commandOf(order, name)} -n {namespace}
          </code>
        </p>
        {state.error && (
          <p class="note bad" role="alert">
            {state.error}
          </p>
        )}
        <div class="buttons">
          <button type="button" disabled={state.isSent} onClick={() => dialog.current.close()}>
            Cancel
          </button>
          <button class={order === "abort" ? "danger filled" : "primary"} disabled={state.isSent}>
            {state.isSent ? "Ordering…" : LABELS[order]}
          </button>
        </div>
      </form>
    </dialog>
  );
}

function Facts({ rollout }) {
  const progress = rollout.rollout;
  if (!progress) return null;
  const step = stepOf(progress);
  const facts = [
    ["Canary", shortAll(rollout.canary)],
    ["Stable", shortAll(rollout.stable)],
    ["Traffic", `${progress.observedWeight ?? progress.weight} % to the canary`],
    ["Step", step && `${step}  ${progress.plan[progress.step]}`],
  ];
  return (
    <dl class="facts">
      {facts
        .filter(([, value]) => value)
        .map(([term, value]) => (
          <div key={term}>
            <dt>{term}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
