// A page of a dialect in headless Chromium: this is the page's own server, to which it tells what came. The page
// is of another origin than the node.
// Usage: chromium-page.cjs PORT DIALECT NODE BASE ASKS
const { spawn } = require("node:child_process");
const { existsSync, mkdtempSync, readFileSync } = require("node:fs");
const { createServer } = require("node:http");
const { connect } = require("node:net");
const { tmpdir } = require("node:os");
const { basename, join } = require("node:path");

const [port, dialect, node, base, asks] = process.argv.slice(2);
const token = process.env.WAKELINE_TOKEN;
const pages = join(__dirname, "pages");

// The directory for temporary files is this run's own, and goes with it: the browser's processes write to
// their profile until the last one has ended.
const profile = mkdtempSync(join(tmpdir(), "chromium-"));

const server = createServer((request, response) => {
  const file = join(pages, basename(new URL(request.url, "http://page").pathname));
  if (request.method === "POST") {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (part) => { body += part; });
    request.on("end", () => {
      response.end();
      process.stdout.write(`${body}\n`);
    });
  } else if (existsSync(file)) {
    response.setHeader("Content-Type", file.endsWith(".js") ? "text/javascript" : "text/html");
    response.end(readFileSync(file));
  } else {
    response.statusCode = 404;
    response.end();
  }
});

// A browser's WebSocket sets no headers. Where an API wants one, the page's own server stands between.
server.on("upgrade", (request, client, first) => {
  const { hostname, port } = new URL(base);
  const upstream = connect(Number(port), hostname, () => {
    const lines = [`GET ${request.url} HTTP/1.1`, `Authorization: Bearer ${token}`];
    for (let at = 0; at < request.rawHeaders.length; at += 2) {
      lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
    }
    upstream.write(`${lines.join("\r\n")}\r\n\r\n`);
    upstream.write(first);
    client.pipe(upstream).pipe(client);
  });
  const sides = [client, upstream];
  for (const side of sides) {
    side.on("error", () => {});
    side.on("close", () => sides.forEach((other) => other.destroy()));
  }
});

server.listen(Number(port), "127.0.0.1", () => {
  const query = new URLSearchParams({ node, base, token, asks });
  const page = `http://127.0.0.1:${port}/${dialect}.html?${query}`;
  const flags = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions",
    "--disable-background-networking", "--no-first-run", `--user-data-dir=${profile}`,
  ];
  const browser = spawn("chromium", [...flags, page], { stdio: ["ignore", "ignore", "inherit"] });
  browser.on("error", (error) => { throw error; });
  browser.on("exit", () => process.exit(1));
});
