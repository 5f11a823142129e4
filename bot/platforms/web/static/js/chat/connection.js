// One WebSocket that comes back by itself.

const FIRST_DELAY = 500, LONGEST_DELAY = 15_000, PATIENCE = 10_000;

// A mark for what is sent, by which the bot knows it again: no page has made it before.
export const mark = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

export class Connection {
  #socket = null;
  #delay = FIRST_DELAY;
  #timer = 0;
  #silence = 0;

  // `query()` gives the parameters of the address; `onMessage(message)` and `onState("open" | "closed")` are told.
  constructor({ query, onMessage, onState }) {
    this.query = query;
    this.onMessage = onMessage;
    this.onState = onState;
    const hurry = () => {
      if (document.visibilityState !== "visible") return;
      if (this.#socket) this.#probe();
      else this.open();
    };
    window.addEventListener("online", hurry);
    document.addEventListener("visibilitychange", hurry);
  }

  open() {
    clearTimeout(this.#timer);
    const address = new URL("/socket", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.search = new URLSearchParams(this.query()).toString();
    const socket = this.#socket = new WebSocket(address);
    let opened = false;
    socket.addEventListener("open", () => {
      opened = true;
      this.#delay = FIRST_DELAY;
      this.onState("open");
    });
    socket.addEventListener("message", (event) => {
      if (socket !== this.#socket) return;
      clearTimeout(this.#silence);
      this.onMessage(JSON.parse(event.data));
    });
    socket.addEventListener("close", () => {
      // One that was given up has a successor already.
      if (socket !== this.#socket) return;
      clearTimeout(this.#silence);
      this.#socket = null;
      this.onState("closed");
      if (!opened) askForCode();
      const jitter = 0.7 + 0.6 * Math.random();
      this.#timer = setTimeout(() => this.open(), this.#delay * jitter);
      this.#delay = Math.min(this.#delay * 2, LONGEST_DELAY);
    });
  }

  // After a sleep a socket may say that it is open though the other end has long gone.
  #probe() {
    const socket = this.#socket;
    clearTimeout(this.#silence);
    if (!this.send({ type: "ping" })) return;
    this.#silence = setTimeout(() => {
      socket.close();
      // The browser itself would wait much longer for a word of the other end.
      socket.dispatchEvent(new Event("close"));
    }, PATIENCE);
  }

  // Returns whether the message went out.
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }
}

// The browser does not say why a socket was refused; the page itself does, when the join code has changed.
async function askForCode() {
  try {
    const response = await fetch("/", { redirect: "manual", cache: "no-store" });
    if (response.type === "opaqueredirect") location.assign(`/join${location.hash}`);
  } catch {
    // The chat is not there at all: the next try finds out.
  }
}
