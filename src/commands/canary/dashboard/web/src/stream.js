// Server-sent events, while the page is visible: browsers allow six connections to a server.
import { useEffect, useRef, useState } from "preact/hooks";

let token = "";

/// Follows a stream; `handlers` maps names of events to what is done with their data. Whether it is connected.
export function useStream(path, handlers) {
  const [connected, setConnected] = useState(false);
  const newest = useRef(handlers);
  newest.current = handlers;
  useEffect(() => {
    let source = null;
    const open = () => {
      source = new EventSource(path);
      newest.current.open?.();
      source.onopen = () => setConnected(true);
      source.onerror = () => {
        setConnected(false);
        // The browser does not try again after an answer that is not a stream.
        if (source?.readyState === EventSource.CLOSED) retry = setTimeout(reopen, 3000);
      };
      for (const name of ["session", "status", "rollouts", "rollout", "pods", "events"]) {
        source.addEventListener(name, ({ data }) => {
          const value = JSON.parse(data);
          if (name === "session") {
            token = value.token;
            // A new session sends everything again.
            newest.current.open?.();
          }
          newest.current[name]?.(value);
        });
      }
    };
    let retry = 0;
    const close = () => {
      clearTimeout(retry);
      source?.close();
      source = null;
    };
    const reopen = () => {
      close();
      if (document.visibilityState === "visible") open();
    };
    reopen();
    document.addEventListener("visibilitychange", reopen);
    return () => {
      document.removeEventListener("visibilitychange", reopen);
      close();
    };
  }, [path]);
  return connected;
}

/// Gives an order; the warnings of admission. An error has the words of admission.
export async function give(namespace, name, order) {
  const answer = await fetch(`/api/rollouts/${namespace}/${name}/orders`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-haldane-token": token },
    body: JSON.stringify({ order }),
  });
  const { warnings, error } = await answer.json();
  if (!answer.ok) throw new Error(error);
  return warnings;
}
