// Values in words.
import { useEffect, useState } from "preact/hooks";

/// A time span as `kubectl` writes it; a coarse one changes seldom.
export function span(milliseconds, isCoarse = false) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const units = [
    ["d", 86400],
    ["h", 3600],
    ["m", 60],
  ];
  const at = units.findIndex(([, size]) => seconds >= size * 2);
  if (at < 0) return `${seconds}s`;
  const [unit, size] = units[at];
  const [small, smaller] = units[at + 1] ?? ["s", 1];
  const whole = Math.floor(seconds / size);
  const rest = Math.floor((seconds % size) / smaller);
  return whole < 10 && rest && !isCoarse ? `${whole}${unit}${rest}${small}` : `${whole}${unit}`;
}

const listeners = new Set();
setInterval(() => listeners.forEach((listener) => listener()), 1000);

/// A text that depends on the time; only where it changes is the page drawn.
function useText(text) {
  const [shown, show] = useState(text);
  useEffect(() => {
    const listener = () => show(text());
    listener();
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, [text()]);
  return shown;
}

/// How long ago.
export function Ago({ at, after = "" }) {
  const text = useText(() => (at ? span(Date.now() - Date.parse(at), true) + after : ""));
  return (
    <time dateTime={at} title={at}>
      {text}
    </time>
  );
}

/// How long until then.
export function Until({ at }) {
  const text = useText(() => {
    const left = Date.parse(at) - Date.now();
    return left > 0 ? `${span(left)} left` : "any moment";
  });
  return (
    <time dateTime={at} title={at} class="until">
      {text}
    </time>
  );
}

/// `web:2` of `registry.example.com/shop/web:2`; of a digest, its first digits.
export function short(image) {
  const last = image.slice(image.lastIndexOf("/") + 1);
  return last.replace(/@sha256:([0-9a-f]{8})[0-9a-f]+$/, "@$1");
}

export const shortAll = (side) => (side?.images ?? []).map(short).join(", ");

export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

/// `2/4`, counted from 1; empty before the first step and after the last.
export function stepOf(rollout) {
  if (rollout?.step === undefined || rollout.step >= rollout.steps) return "";
  return `${rollout.step + 1}/${rollout.steps}`;
}
