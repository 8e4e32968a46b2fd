// The page: a list of all rollouts at #/, one of them at #/NAMESPACE/NAME.
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "./app.css";
import { Detail } from "./detail.jsx";
import { List } from "./list.jsx";

const pathNow = () => /^#\/([^/?]+\/[^/?]+)$/.exec(location.hash)?.[1];

function App() {
  const [path, setPath] = useState(pathNow);
  const [filter, setFilter] = useState("");
  useEffect(() => {
    const changed = () => {
      setPath(pathNow());
      scrollTo(0, 0);
    };
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  const head = (state) => <Head {...state} />;
  if (path) return <Detail key={path} path={path} head={head} />;
  return <List filter={filter} setFilter={setFilter} head={head} />;
}

function Head({ session, connected }) {
  return (
    <header class="head">
      <a class="home" href="#/">
        <img src="/icon.svg" alt="" width="24" height="24" />
        Haldane
      </a>
      <span class="right">
        {session.readOnly && <span class="tag">read-only</span>}
        <span class={connected ? "live" : "live lost"} role="status">
          {connected ? "live" : "not connected"}
        </span>
      </span>
    </header>
  );
}

render(<App />, document.getElementById("app"));
