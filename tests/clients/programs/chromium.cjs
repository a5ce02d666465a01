// The events of a stream as a page in headless Chromium sees them: it serves the page that PAGE names, and the
// page tells it what came. The page is of another origin than the stream.
const { spawn } = require("node:child_process");
const { mkdtempSync, readFileSync } = require("node:fs");
const { createServer } = require("node:http");
const { tmpdir } = require("node:os");
const { join } = require("node:path");

const stream = new URL(process.argv[2]);
let count = Number(process.argv[3]);
// Neither an EventSource nor a WebSocket of a page can set headers.
stream.searchParams.set("token", process.env.WAKELINE_TOKEN);

// The directory for temporary files is this run's own, and goes with it: the browser's processes write to
// their profile until the last one has ended.
const profile = mkdtempSync(join(tmpdir(), "chromium-"));
let browser;

const server = createServer((request, response) => {
  if (request.method === "POST") {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (part) => { body += part; });
    request.on("end", () => {
      response.end();
      process.stdout.write(`${body}\n`);
      if (JSON.parse(body).event === "message") count -= 1;
      if (count === 0) browser.kill();
    });
  } else if (request.url.startsWith("/page?")) {
    response.setHeader("Content-Type", "text/html");
    response.end(readFileSync(join(__dirname, process.env.PAGE)));
  } else {
    response.statusCode = 404;
    response.end();
  }
});

server.listen(0, "127.0.0.1", () => {
  const query = new URLSearchParams({ stream: stream.href, count: process.argv[3] });
  const page = `http://127.0.0.1:${server.address().port}/page?${query}`;
  const flags = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions",
    "--disable-background-networking", "--no-first-run", `--user-data-dir=${profile}`,
  ];
  browser = spawn("chromium", [...flags, page], { stdio: ["ignore", "ignore", "inherit"] });
  browser.on("error", (error) => { throw error; });
  browser.on("exit", () => {
    // What was printed may not have left yet: it ends by itself when it has.
    process.exitCode = count === 0 ? 0 : 1;
    server.close();
    server.closeAllConnections();
  });
});
