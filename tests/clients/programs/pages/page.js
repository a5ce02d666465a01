// What the pages have in common: where the node is, from where they go on, and what they saw.
const given = new URLSearchParams(location.search);

const page = {
  // Of streams: perhaps a proxy before the node.
  base: given.get("base"),
  sockets: given.get("base").replace("http", "ws"),
  token: given.get("token"),
  // What is asked for beyond what the document says, if anything: cursors.
  asks: given.get("asks"),
  cursors: {},

  // The end of a URL: nothing more than the document says, or from where to go on.
  resume(name) {
    if (!this.asks) return "";
    const cursor = this.cursors[name];
    return cursor ? `cursor=1&since=${cursor}` : this.asks;
  },

  saw(name, text) {
    const frame = JSON.parse(text);
    if (frame.cursor) this.cursors[name] = frame.cursor;
    this.tell(name, frame);
  },

  // One after the other, so that they arrive in the order in which they were seen.
  told: Promise.resolve(),
  tell(name, data) {
    const seen = JSON.stringify({ event: name, data });
    this.told = this.told.then(() => fetch("/seen", { method: "POST", body: seen }));
  },

  // An event stream connects again by itself.
  faults(name, source) {
    for (const fault of ["reset", "fault"]) {
      source.addEventListener(fault, (event) => this.tell(name, { event: "fault", data: event.data }));
    }
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) this.tell(name, { event: "fault", data: "gave up" });
    };
  },

  // As a page logs in: the cookies go with whatever it opens there. The node itself is asked.
  login() {
    const headers = { Authorization: `Bearer ${this.token}` };
    return fetch(`${given.get("node")}/v1/session`, { method: "POST", headers, credentials: "include" });
  },
};
