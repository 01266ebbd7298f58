/**
 * The one socket of this tab: ticket, connection, hello; and again after every loss, with full jitter.
 * Commands wait here for their reply and are sent again, unchanged, on the next connection: the server
 * knows them by their `client_id`.
 */

import { PROTOCOL, TRACED, CommandError, afterClose, closeMessage, makeId, makeTraceparent } from "antiphon/wire/protocol";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {"connecting" | "open" | "reconnecting" | "resting" | "offline" | "stopped"} State */

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;
const STEADY_MS = 10_000; // a connection this old resets the delays
const PROBE_MS = 5_000; // how long a returning page waits for a sign of life
const TICKET_MS = 10_000;

export class Socket {
  /**
   * @param {object} options
   * @param {string} options.ticketUrl
   * @param {string} options.path
   * @param {string} options.csrf
   * @param {(hello: Frame) => void} options.onHello called first on each connection
   * @param {(frame: Frame) => void} options.onFrame
   * @param {(state: State, detail: string) => void} options.onState
   * @param {() => void} options.onLogin the session is over
   */
  constructor(options) {
    this.options = options;
    /** @type {State} */
    this.state = "connecting";
    /** @type {WebSocket | null} */
    this.socket = null;
    this.ready = false;
    this.failures = 0;
    this.turn = 0; // counts connections, so that a late answer of an earlier one is ignored
    this.timer = 0;
    this.watchdog = 0;
    this.heartbeat = 25;
    this.traces = false; // whether the server takes a `traceparent`; one of an older version does not
    /** @type {Map<string, {frame: Frame, traceparent: string, resolve: (reply: Frame) => void, reject: (error: Error) => void}>} */
    this.unanswered = new Map();
    addEventListener("online", () => this.wake());
    addEventListener("offline", () => this.state !== "stopped" && !this.ready && this.enter("offline"));
    addEventListener("pageshow", (event) => event.persisted && this.wake());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.wake());
    for (const use of ["pointerdown", "keydown", "focus"]) {
      addEventListener(use, () => this.state === "resting" && this.connect(), { passive: true });
    }
  }

  /** Opens a connection now, unless one is open or being opened. */
  async connect() {
    clearTimeout(this.timer);
    if (this.socket) return;
    const turn = ++this.turn;
    if (this.failures === 0 && this.state !== "resting") this.enter("connecting");
    const ticket = await this.fetchTicket();
    if (turn !== this.turn || ticket === null) return;
    const url = new URL(this.options.path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, [PROTOCOL, `ticket.${ticket}`]);
    this.socket = socket;
    socket.onmessage = (event) => this.socket === socket && this.receive(JSON.parse(event.data));
    socket.onclose = (event) => this.socket === socket && this.closed(event.code);
  }

  /** Sends a frame that needs no reply; lost when there is no connection. @param {Frame} frame */
  send(frame) {
    if (this.ready) this.socket?.send(JSON.stringify(frame));
    return this.ready;
  }

  /**
   * Sends a command and waits for its reply, over as many connections as it takes.
   * @param {Frame} frame @returns {Promise<Frame>} rejects with CommandError
   */
  request(frame) {
    const sent = { ...frame, ref: frame.ref ?? makeId() };
    return new Promise((resolve, reject) => {
      const command = { frame: sent, traceparent: TRACED.has(sent.type) ? makeTraceparent() : "", resolve, reject };
      this.unanswered.set(sent.ref, command);
      this.deliver(command);
    });
  }

  /** @param {{frame: Frame, traceparent: string}} command */
  deliver({ frame, traceparent }) {
    return this.send(traceparent && this.traces ? { ...frame, traceparent } : frame);
  }

  /** Looks at once whether the connection still lives: the page came back, or the network did. */
  wake() {
    if (this.state === "stopped") return;
    if (!this.socket) {
      this.failures = Math.min(this.failures, 1);
      this.connect();
    } else if (this.ready) {
      this.send({ type: "ping" });
      this.watch(PROBE_MS);
    }
  }

  /** @returns {Promise<string | null>} null when there is none, and what follows is on its way */
  async fetchTicket() {
    const turn = this.turn;
    try {
      const response = await fetch(this.options.ticketUrl, {
        method: "POST",
        headers: { "X-CSRFToken": this.options.csrf, Accept: "application/json" },
        signal: AbortSignal.timeout(TICKET_MS),
      });
      if (turn !== this.turn) return null;
      if (response.status === 401 || response.status === 403) {
        this.enter("stopped");
        this.options.onLogin();
        return null;
      }
      if (response.ok) return (await response.json()).ticket;
      this.retry(Number(response.headers.get("Retry-After")) * 1000 || 0);
    } catch {
      if (turn === this.turn) this.retry();
    }
    return null;
  }

  /** @param {Frame} frame */
  receive(frame) {
    this.watch((this.heartbeat + 15) * 1000);
    if (frame.type === "hello") return this.greet(frame);
    if (frame.type === "ping") return void this.send({ type: "pong" });
    const waiting = frame.ref && this.unanswered.get(frame.ref);
    if (waiting) {
      this.unanswered.delete(frame.ref);
      if (frame.type === "error") waiting.reject(new CommandError(frame));
      else waiting.resolve(frame);
    }
    return this.options.onFrame(frame);
  }

  /** @param {Frame} hello */
  greet(hello) {
    this.ready = true;
    this.heartbeat = hello.heartbeat_s ?? this.heartbeat;
    this.traces = Boolean(hello.traceparent);
    this.openedAt = performance.now();
    this.enter("open");
    this.options.onHello(hello);
    for (const command of this.unanswered.values()) this.deliver(command);
  }

  /** @param {number} code */
  closed(code) {
    clearTimeout(this.watchdog);
    this.socket = null;
    if (this.ready && performance.now() - (this.openedAt ?? 0) > STEADY_MS) this.failures = 0;
    this.ready = false;
    const next = afterClose(code);
    if (next === "reconnect") this.retry();
    else if (next === "rest") this.enter("resting");
    else {
      this.enter("stopped", next === "stop" ? closeMessage(code) : "");
      if (next === "login") this.options.onLogin();
    }
  }

  /** Tries again after a random part of a growing delay: clients of a lost server must not come back all at once. */
  retry(atLeast = 0) {
    const longest = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(this.failures, 10));
    this.failures += 1;
    this.enter(navigator.onLine === false ? "offline" : "reconnecting");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), atLeast + Math.random() * longest);
  }

  /** Gives a connection up that stays silent: a phone's radio does not say when it is gone. @param {number} ms */
  watch(ms) {
    clearTimeout(this.watchdog);
    const socket = this.socket;
    this.watchdog = setTimeout(() => {
      if (!socket || this.socket !== socket) return;
      socket.onclose = null;
      socket.close();
      this.closed(1006);
    }, ms);
  }

  /** @param {State} state */
  enter(state, detail = "") {
    this.state = state;
    this.options.onState(state, detail);
  }
}
