// A WebSocket that reconnects by itself.

import { refusalOf } from "../shared/json.js";

const FIRST_DELAY_MS = 500, MAX_DELAY_MS = 15_000;
// How long the other end may take to open a socket or to answer a ping, and after how long without a message it is pinged.
const ANSWER_TIMEOUT_MS = 10_000, SILENCE_MS = 30_000;
const REFUSED = [429, 503];

// Returns a unique reference for a message, by which the bot recognises it when it is sent again.
export const createRef = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

export class Connection {
  #socket = null;
  #delay = FIRST_DELAY_MS;
  #reconnectTimer = 0;
  // Runs while an answer of the other end is waited for, and then until it has been silent for long.
  #answerTimer = 0;
  #checkNow = () => {
    if (document.visibilityState !== "visible") return;
    if (this.#socket) this.#probe();
    else this.open();
  };

  // `query()` returns the parameters of the address; `onMessage(message)` and `onState(isOpen, why)` are called;
  // `why` is a sentence if the chat says why it takes no connection.
  constructor({ query, onMessage, onState }) {
    this.query = query;
    this.onMessage = onMessage;
    this.onState = onState;
    window.addEventListener("online", this.#checkNow);
    document.addEventListener("visibilitychange", this.#checkNow);
  }

  open() {
    clearTimeout(this.#reconnectTimer);
    const address = new URL("/socket", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.search = new URLSearchParams(this.query()).toString();
    const socket = this.#socket = new WebSocket(address);
    let opened = false;
    this.#awaitAnswer();
    socket.addEventListener("open", () => {
      if (socket !== this.#socket) return;
      opened = true;
      this.#heard();
      this.onState(true, "");
    });
    socket.addEventListener("message", (event) => {
      if (socket !== this.#socket) return;
      this.#heard();
      // Not as soon as it is open: a bot that fails before its first message shall not be tried again and again at once.
      this.#delay = FIRST_DELAY_MS;
      this.onMessage(JSON.parse(event.data));
    });
    socket.addEventListener("close", () => {
      // A socket that was given up already has a successor.
      if (socket !== this.#socket) return;
      clearTimeout(this.#answerTimer);
      this.#socket = null;
      this.onState(false, "");
      if (!opened) this.#askWhy();
      const jitter = 0.7 + 0.6 * Math.random();
      this.#reconnectTimer = setTimeout(() => this.open(), this.#delay * jitter);
      this.#delay = Math.min(this.#delay * 2, MAX_DELAY_MS);
    });
  }

  // After a sleep, or where a network drops what it carries, a socket may seem open although the other end is gone.
  #probe() {
    if (this.send({ type: "ping" })) this.#awaitAnswer();
  }

  // Gives the socket up if nothing is heard from the other end.
  #awaitAnswer() {
    const socket = this.#socket;
    clearTimeout(this.#answerTimer);
    this.#answerTimer = setTimeout(() => {
      socket.close();
      // The browser itself would wait much longer for the other end.
      socket.dispatchEvent(new Event("close"));
    }, ANSWER_TIMEOUT_MS);
  }

  #heard() {
    clearTimeout(this.#answerTimer);
    this.#answerTimer = setTimeout(this.#checkNow, SILENCE_MS);
  }

  // Leads to the form for the join code if that has changed, or tells why there can be no connection now. The browser
  // does not say why a socket was refused, so the page itself and the socket's address are fetched to find out.
  async #askWhy() {
    try {
      const page = await fetch("/", { redirect: "manual", cache: "no-store" });
      if (page.type === "opaqueredirect") return location.assign(`/join${location.hash}`);
      const refused = await fetch(`/socket?${new URLSearchParams(this.query())}`, { cache: "no-store" });
      const why = await refusalOf(refused, "");
      if (REFUSED.includes(refused.status) && !this.#socket) this.onState(false, why);
    } catch {
      // The chat cannot be reached; the connection is tried again anyway.
    }
  }

  // Returns whether the message was sent.
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }
}
