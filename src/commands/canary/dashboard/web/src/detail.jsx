// One rollout.
import { useEffect, useState } from "preact/hooks";
import { Analyses } from "./analyses.jsx";
import { Staircase } from "./charts.jsx";
import { Orders } from "./order.jsx";
import { Badge, Split, Troubles, weightWords } from "./parts.jsx";
import { useStream } from "./stream.js";
import { Events, History, Pods } from "./tables.jsx";
import { Ago, Until, stepOf } from "./words.jsx";

const NOTHING = { rollout: null, pods: { items: [] }, events: { items: [] }, status: {}, session: {} };

export function Detail({ path, head }) {
  const [state, setState] = useState(NOTHING);
  const [said, say] = useState([]);
  const set = (name) => (value) => setState((old) => ({ ...old, [name]: value }));
  const handlers = Object.fromEntries(Object.keys(NOTHING).map((name) => [name, set(name)]));
  const connected = useStream(`/api/rollouts/${path}`, handlers);
  const { rollout, pods, events, status, session } = state;
  useEffect(() => {
    document.title = rollout && !rollout.isGone ? `${rollout.phase} · ${path} · Haldane` : `${path} · Haldane`;
  }, [path, rollout?.phase]);
  return (
    <>
      {head({ session, connected })}
      <main>
        <nav aria-label="Breadcrumb">
          <a href="#/">← All releases</a>
        </nav>
        <Troubles troubles={status.troubles} />
        {!rollout && <p class="empty">Reading the cluster…</p>}
        {rollout?.isGone && <p class="empty">There is no managed Deployment {path} here.</p>}
        {rollout && !rollout.isGone && (
          <>
            <Top rollout={rollout} readOnly={session.readOnly} say={say} />
            <Said lines={said} close={() => say([])} />
            <div class="columns">
              <div>
                {rollout.rollout && <Traffic rollout={rollout} />}
                {!rollout.rollout && <Serving side={rollout.stable} />}
                {rollout.rollout && <Steps rollout={rollout} />}
                <Pods pods={pods} />
              </div>
              <div>
                <Analyses analyses={rollout.rollout?.analyses ?? []} />
                <Events events={events} />
                <History history={rollout.history} />
              </div>
            </div>
          </>
        )}
      </main>
    </>
  );
}

function Top({ rollout, readOnly, say }) {
  const { namespace, name, phase, rollout: progress, waits, message, ordered, problem } = rollout;
  const step = stepOf(progress);
  const isSaid = message && waits && message.includes(waits.message);
  const tone = rollout.standing === "aborted" ? "bad" : rollout.standing === "needsPerson" ? "wait" : "";
  return (
    <header class="top">
      <div class="what">
        <h1>
          <span class="soft">{namespace} /</span> {name}
        </h1>
        <p class="line" role="status">
          <Badge word={phase} />
          {step && <span>step {step}</span>}
          {rollout.since && (
            <span>
              since <Ago at={rollout.since} />
            </span>
          )}
          <span>revision {rollout.revision}</span>
          {progress?.attempt > 1 && <span>attempt {progress.attempt}</span>}
        </p>
      </div>
      <Orders rollout={rollout} readOnly={readOnly} say={say} />
      {problem && <p class="note bad">{problem}</p>}
      {ordered && <p class="note">Order {ordered} is being carried out.</p>}
      {waits && !(rollout.standing === "aborted" && message) && (
        <p class={`note ${tone}`}>
          Waits for {waits.for === "person" && "a person: "}
          {waits.message} {waits.until && <Until at={waits.until} />}
        </p>
      )}
      {message && !isSaid && <p class={`note ${tone}`}>{message}</p>}
    </header>
  );
}

/// What an order has come to, and the warnings of admission.
function Said({ lines, close }) {
  return (
    <div role="status" class="said">
      {lines.length > 0 && (
        <div class="note good">
          {lines.map((line, index) => (
            <p key={index}>{line}</p>
          ))}
          <button type="button" class="plain" aria-label="Close this message" onClick={close}>
            ×
          </button>
        </div>
      )}
    </div>
  );
}

function Traffic({ rollout }) {
  const progress = rollout.rollout;
  const shown = progress.observedWeight ?? progress.actualWeight ?? progress.weight;
  return (
    <section aria-labelledby="traffic">
      <h2 id="traffic">Traffic</h2>
      <p class="big">
        <strong>{shown} %</strong> <span class="soft">{trafficWords(progress)}</span>
      </p>
      <Split rollout={progress} />
      <div class="sides">
        <Side title="Canary" kind="canary" side={rollout.canary} />
        <Side title="Stable" kind="stable" side={rollout.stable} />
      </div>
    </section>
  );
}

function trafficWords(progress) {
  if (progress.observedWeight !== undefined) return "to the canary, observed";
  return weightWords(progress).replace(/^\d+ % /, "");
}

function Serving({ side }) {
  return (
    <section aria-labelledby="serving">
      <h2 id="serving">Serving</h2>
      <div class="sides">
        <Side title="Stable" kind="stable" side={side} />
      </div>
    </section>
  );
}

/// More pods are only counted.
const DOTS = 40;

function Side({ title, kind, side }) {
  if (!side) return null;
  const dots = Math.min(Math.max(side.desired, side.ready), DOTS);
  return (
    <div class={`side ${kind}`}>
      <h3>{title}</h3>
      {side.images.map((image) => (
        <code key={image} class="image">
          {image}
        </code>
      ))}
      <p>
        <span class="dots" aria-hidden="true">
          {Array.from({ length: dots }, (_, index) => (
            <i key={index} class={index < side.ready ? "ready" : ""} />
          ))}
        </span>
        {side.ready} of {side.desired} pods ready
      </p>
    </div>
  );
}

function Steps({ rollout }) {
  const progress = rollout.rollout;
  const stateOf = (index) => {
    if (progress.step === undefined) return rollout.phase === "Promoting" ? "past" : "ahead";
    return index < progress.step ? "past" : index === progress.step ? "now" : "ahead";
  };
  const words = { past: "done", now: "now", ahead: "to come" };
  return (
    <section aria-labelledby="steps">
      <h2 id="steps">Steps</h2>
      <Staircase rollout={progress} phase={rollout.phase} />
      <ol class="steps">
        {progress.plan.map((step, index) => (
          <li key={index} class={stateOf(index)} aria-current={stateOf(index) === "now" ? "step" : undefined}>
            <code>{step}</code>
            <span class="visually-hidden">, {words[stateOf(index)]}</span>
            {stateOf(index) === "now" && rollout.waits?.until && <Until at={rollout.waits.until} />}
          </li>
        ))}
        <li class={rollout.phase === "Promoting" ? "now" : "ahead"}>promotion</li>
      </ol>
    </section>
  );
}
