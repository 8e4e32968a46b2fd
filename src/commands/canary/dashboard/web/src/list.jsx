// All rollouts.
import { Component } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Badge, Split, Troubles, Versions } from "./parts.jsx";
import { useStream } from "./stream.js";
import { Ago, Until, count, stepOf } from "./words.jsx";

const GROUPS = [
  ["attention", "Needs attention"],
  ["underWay", "Under way"],
  ["aborted", "Aborted"],
  ["healthy", "At rest"],
];

const keyOf = ({ namespace, name }) => `${namespace}/${name}`;

function groupOf(row) {
  const asks = ["person", "refused", "permission"].includes(row.waits?.for);
  if (row.standing === "aborted" || row.standing === "healthy") return row.problem ? "attention" : row.standing;
  return row.problem || row.standing === "needsPerson" || asks ? "attention" : "underWay";
}

function textOf(row) {
  const images = [row.stable, row.canary].flatMap((side) => side?.images ?? []);
  return [keyOf(row), row.phase, ...images].join(" ").toLowerCase();
}

/// The rows by key; a row that has not changed stays the same object.
function useRows() {
  const [state, setState] = useState({ rows: new Map(), status: {}, session: {} });
  const set = (change) => setState((old) => ({ ...old, ...change(old) }));
  const connected = useStream("/api/rollouts", {
    session: (session) => set(() => ({ session, rows: new Map() })),
    status: (status) => set(() => ({ status })),
    rollouts: ({ changed, gone }) =>
      set(({ rows }) => {
        const next = new Map(rows);
        for (const row of changed)
          next.set(keyOf(row), Object.assign(row, { key: keyOf(row), group: groupOf(row), text: textOf(row) }));
        for (const key of gone) next.delete(key.join("/"));
        return { rows: next };
      }),
  });
  return { ...state, connected };
}

export function List({ filter, setFilter, head }) {
  const { rows, status, session, connected } = useRows();
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const groups = useMemo(() => {
    const shown = [...rows.values()].filter((row) => words.every((word) => row.text.includes(word)));
    shown.sort((one, other) => (one.key < other.key ? -1 : 1));
    return GROUPS.map(([group, title]) => ({ group, title, rows: shown.filter((row) => row.group === group) }));
  }, [rows, filter]);
  const total = groups.reduce((sum, group) => sum + group.rows.length, 0);
  useEffect(() => {
    document.title = session.namespace ? `${session.namespace} · Haldane` : "Haldane";
  }, [session.namespace]);
  return (
    <>
      {head({ session, connected })}
      <main>
        <div class="title">
          <h1>Releases</h1>
          <p class="soft">{session.namespace ? `of namespace ${session.namespace}` : "of all namespaces"}</p>
          <Filter filter={filter} setFilter={setFilter} />
        </div>
        <Troubles troubles={status.troubles} />
        <p class="visually-hidden" role="status">
          {status.isComplete && `${count(total, "Deployment")}, ${groups[0].rows.length} need attention`}
        </p>
        {status.isComplete && rows.size === 0 && <Nothing />}
        {status.isComplete && rows.size > 0 && total === 0 && <p class="empty">Nothing matches “{filter}”.</p>}
        {!status.isComplete && <p class="empty">Reading the cluster…</p>}
        {total > 0 && <Table groups={groups} isOfAll={!session.namespace} />}
      </main>
    </>
  );
}

function Filter({ filter, setFilter }) {
  const input = useRef();
  useEffect(() => {
    const focus = (event) => {
      if (event.key !== "/" || event.target.closest("input, dialog")) return;
      event.preventDefault();
      input.current.focus();
    };
    document.addEventListener("keydown", focus);
    return () => document.removeEventListener("keydown", focus);
  }, []);
  return (
    <input
      ref={input}
      type="search"
      aria-label="Filter by name, namespace, phase or image"
      aria-keyshortcuts="/"
      placeholder="Filter by name, phase, image"
      value={filter}
      onInput={(event) => setFilter(event.currentTarget.value)}
    />
  );
}

function Nothing() {
  return (
    <div class="empty">
      <p>No Deployment is managed here. Opt one in:</p>
      <pre tabIndex={0}>
        <code>kubectl annotate deployment NAME haldane.dev/canary=enabled</code>
      </pre>
    </div>
  );
}

function Table({ groups, isOfAll }) {
  return (
    <table class="releases">
      <thead>
        <tr>
          <th scope="col">Deployment</th>
          <th scope="col">Phase</th>
          <th scope="col">Canary’s traffic</th>
          <th scope="col">Version</th>
          <th scope="col">Waits for</th>
          <th scope="col" class="since">
            Since
          </th>
        </tr>
      </thead>
      {groups.map(({ group, title, rows }) =>
        rows.length === 0 ? null : (
          <tbody key={group} class={group}>
            <tr class="group">
              <th scope="rowgroup" colSpan={6}>
                {title} <span class="number">{rows.length}</span>
              </th>
            </tr>
            {rows.map((row) => (
              <Row key={row.key} row={row} isOfAll={isOfAll} />
            ))}
          </tbody>
        ),
      )}
    </table>
  );
}

class Row extends Component {
  shouldComponentUpdate(next) {
    return next.row !== this.props.row || next.isOfAll !== this.props.isOfAll;
  }

  render({ row, isOfAll }) {
    const step = stepOf(row.rollout);
    return (
      <tr>
        <th scope="row" class="name">
          <a href={`#/${row.key}`}>{row.name}</a>
          {isOfAll && <span class="soft">{row.namespace}</span>}
        </th>
        <td class="phase">
          <Badge word={row.phase} />
          {step && <span class="soft">step {step}</span>}
        </td>
        <td class="weight">
          {row.rollout && row.standing !== "aborted" && (
            <>
              <Split rollout={row.rollout} />
              <span class="percent">{row.rollout.observedWeight ?? row.rollout.weight} %</span>
            </>
          )}
        </td>
        <td class="version">
          <Versions row={row} />
        </td>
        <td class="why">
          <Why row={row} />
        </td>
        <td class="since">
          <Ago at={row.since} />
        </td>
      </tr>
    );
  }
}

function Why({ row }) {
  if (row.problem) return <span class="clip bad">{row.problem}</span>;
  if (row.ordered) return <span class="clip">order {row.ordered} is being carried out</span>;
  const text = row.standing === "aborted" ? row.message : (row.waits?.message ?? row.message);
  return (
    <>
      <span class="clip" title={text}>
        {text}
      </span>
      {row.waits?.until && <Until at={row.waits.until} />}
    </>
  );
}
