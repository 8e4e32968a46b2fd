// Pods, Events and past releases.
import { Badge } from "./parts.jsx";
import { Ago, span } from "./words.jsx";

export function Pods({ pods }) {
  return (
    <section aria-labelledby="pods">
      <h2 id="pods">Pods</h2>
      {pods.trouble && <p class="note bad">{pods.trouble}</p>}
      {!pods.trouble && pods.items.length === 0 && <p class="soft">None.</p>}
      {pods.items.length > 0 && (
        <div class="wide" tabIndex={0} role="group" aria-label="Table of pods">
          <table>
            <thead>
              <tr>
                <th scope="col">Pod</th>
                <th scope="col">Side</th>
                <th scope="col">Status</th>
                <th scope="col">Restarts</th>
              </tr>
            </thead>
            <tbody>
              {pods.items.map((pod) => (
                <tr key={pod.name}>
                  <th scope="row">
                    <code title={[pod.ip, pod.node].filter(Boolean).join(" on ")}>{pod.name}</code>
                  </th>
                  <td>
                    <span class={`mark ${pod.side}`}>{pod.side}</span>
                  </td>
                  <td class={pod.isReady ? "good" : "wait"}>{pod.isReady ? "ready" : notReady(pod)}</td>
                  <td class={pod.restarts > 0 ? "bad" : "soft"}>{pod.restarts}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

const notReady = ({ status }) => (status === "Running" ? "running, not ready" : status);

export function Events({ events }) {
  return (
    <section aria-labelledby="events">
      <h2 id="events">Events</h2>
      {events.trouble && <p class="note bad">{events.trouble}</p>}
      {!events.trouble && events.items.length === 0 && <p class="soft">None; Kubernetes keeps them for an hour.</p>}
      <ol class="events" tabIndex={0} aria-labelledby="events">
        {events.items.map((event) => (
          <li key={event.name} class={event.isWarning ? "warning" : ""}>
            <p>
              <strong>
                {event.isWarning && <span class="visually-hidden">Warning: </span>}
                {event.reason}
              </strong>{" "}
              <span class="soft">
                {event.count > 1 && `${event.count} times, `}
                <Ago at={event.at} after=" ago" />
              </span>
            </p>
            <p>{event.message}</p>
          </li>
        ))}
      </ol>
    </section>
  );
}

export function History({ history }) {
  return (
    <section aria-labelledby="history">
      <h2 id="history">Past releases</h2>
      {history.length === 0 && <p class="soft">None yet.</p>}
      <ol class="events" tabIndex={0} aria-labelledby="history">
        {history.map((entry) => (
          <li key={`${entry.revision} ${entry.endedAt}`} class={entry.outcome === "Aborted" ? "warning" : ""}>
            <p>
              <strong>Revision {entry.revision}</strong> <Badge word={entry.outcome} />{" "}
              <span class="soft">
                <Ago at={entry.endedAt} after=" ago" />, took{" "}
                {span(Date.parse(entry.endedAt) - Date.parse(entry.startedAt))}
              </span>
            </p>
            {entry.message && <p>{entry.message}</p>}
          </li>
        ))}
      </ol>
    </section>
  );
}
