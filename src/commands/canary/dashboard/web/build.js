// Builds the page into dist/, or into the folder that is named.
import { build } from "esbuild";
import { copyFile, mkdir, readFile } from "node:fs/promises";

const out = process.argv[2] ?? "dist";
const licence = (await readFile("node_modules/preact/LICENSE", "utf8")).trim();

await mkdir(out, { recursive: true });
await build({
  entryPoints: { app: "src/main.jsx" },
  outdir: out,
  bundle: true,
  minify: true,
  charset: "utf8",
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  banner: { js: `/*! With Preact:\n${licence}\n*/` },
});
await Promise.all(["index.html", "icon.svg"].map((file) => copyFile(`src/${file}`, `${out}/${file}`)));
