/**
 * The one socket of this tab: ticket, connection, hello; and again after every loss, with full jitter.
 * Commands wait here for their reply and are sent again, unchanged, on the next connection: the server
 * knows them by their `client_id`. One that the connection cannot carry is rejected instead.
 */

import { t } from "antiphon/lib/texts";
import { LIMITS, PROTOCOL, TRACED, afterClose, closeMessage, makeId, makeTraceparent } from "antiphon/wire/protocol";
import { ShortDeltas } from "antiphon/wire/short-deltas";
import { Unanswered } from "antiphon/wire/unanswered";
import { byteLength } from "antiphon/lib/text";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {"connecting" | "open" | "reconnecting" | "resting" | "offline" | "stopped"} State */

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;
const STEADY_MS = 10_000; // a connection this old resets the delays
const PROBE_MS = 5_000; // how long a returning page waits for a sign of life
const TICKET_MS = 10_000;
const CONNECT_MS = 10_000;
const OFFLINE_MS = 1_500; // how long a connection has to show that it lives although the browser says it is offline
const QUIET_MS = 3_500; // silence while something is awaited; then the server is asked
const REPLY_MS = 3_500; // and must answer within this time

const BLOCKED = t("The server or a firewall in front of it refuses the connection (403). Trying again…");

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
   * @param {() => Promise<string | null>} options.readCsrf a fresh CSRF token of the server; null when logged out
   * @param {() => boolean} options.isAwaiting whether frames are expected soon, as while an answer is written
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
    this.heardAt = 0; // when the last frame came
    this.frameBytes = LIMITS.frame_bytes;
    this.csrf = options.csrf;
    this.resume = ""; // a ticket for the next connection
    this.taken = ""; // the one before
    this.refusals = 0; // of tickets, one after another
    this.traces = false; // whether the server takes a `traceparent`; one of an older version does not
    this.unanswered = new Unanswered();
    /** Speech of the server. @type {((data: ArrayBuffer) => void) | null} */
    this.onBytes = null;
    /** Who else wants frames, by their type. @type {Map<string, ((frame: Frame) => void)[]>} */
    this.listeners = new Map();
    addEventListener("online", () => this.wake());
    addEventListener("offline", () => this.lostNetwork());
    setInterval(() => this.listen(), 1_000);
    addEventListener("pagehide", () => (this.resume = this.taken = "")); // the server withdraws it
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
    const ticket = this.takeTicket() || (await this.fetchTicket());
    if (turn !== this.turn || ticket === null) return;
    const url = new URL(this.options.path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, [PROTOCOL, `ticket.${ticket}`]);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    const deltas = new ShortDeltas();
    socket.onmessage = ({ data }) => {
      if (this.socket !== socket) return;
      if (typeof data === "string") this.receive(deltas.expand(JSON.parse(data)));
      else this.onBytes?.(data);
    };
    socket.onclose = (event) => this.socket === socket && this.closed(event.code);
    this.watch(CONNECT_MS);
  }

  /**
   * Calls `listener` with each frame of a type, before the page handles it, and `{type: "closed", next}` when the
   * connection is lost. @param {string} type @param {(frame: Frame) => void} listener
   */
  on(type, listener) {
    this.listeners.set(type, [...(this.listeners.get(type) ?? []), listener]);
  }

  /** @param {Frame} frame */
  tell(frame) {
    for (const listener of this.listeners.get(frame.type) ?? []) listener(frame);
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
    return this.unanswered.add(sent, TRACED.has(sent.type) ? makeTraceparent() : "", (command) => this.deliver(command));
  }

  /** Waits no longer for the reply to a command. @param {string} ref */
  forget(ref) {
    this.unanswered.commands.delete(ref);
  }

  /** @param {import("antiphon/wire/unanswered").Waiting} command */
  deliver(command) {
    if (!this.ready) return;
    const { frame, traceparent } = command;
    const whole = traceparent && this.traces ? { ...frame, traceparent } : frame;
    if (byteLength(JSON.stringify(whole)) > this.frameBytes) this.unanswered.rejectTooLarge(command);
    else command.delivered = this.send(whole);
  }

  /** The browser says that there is no network. It may be wrong: a server on this machine can be reached. */
  lostNetwork() {
    if (this.state === "stopped") return;
    if (!this.ready) this.enter("offline");
    else this.probe(OFFLINE_MS);
  }

  /** Asks a server that is silent while something is awaited, so that a dead connection is noticed within seconds. */
  listen() {
    if (!this.ready || this.probing || document.visibilityState !== "visible") return;
    if (!this.unanswered.size && !this.options.isAwaiting()) return;
    if (performance.now() - this.heardAt > QUIET_MS) this.probe(REPLY_MS);
  }

  /** @param {number} ms */
  probe(ms) {
    this.probing = true;
    this.send({ type: "ping" });
    this.watch(ms);
  }

  /** Looks at once whether the connection still lives: the page came back, or the network did. */
  wake() {
    if (this.state === "stopped") return;
    if (!this.socket) {
      this.failures = Math.min(this.failures, 1);
      this.connect();
    } else if (this.ready) this.probe(PROBE_MS);
  }

  /** The ticket that the connection before has handed over, once. */
  takeTicket() {
    this.taken = this.resume;
    this.resume = "";
    return this.taken;
  }

  /** @returns {Promise<string | null>} null when there is none, and what follows is on its way */
  async fetchTicket() {
    const turn = this.turn;
    try {
      const response = await fetch(this.options.ticketUrl, {
        method: "POST",
        headers: { "X-CSRFToken": this.csrf, Accept: "application/json" },
        signal: AbortSignal.timeout(TICKET_MS),
      });
      if (turn !== this.turn) return null;
      if (response.status === 401 || response.status === 403) return await this.refused();
      if (response.ok) {
        this.refusals = 0;
        return (await response.json()).ticket;
      }
      this.retry(Number(response.headers.get("Retry-After")) * 1000 || 0);
    } catch {
      this.resume = this.taken; // nobody was there to take it
      if (turn === this.turn) this.retry();
    }
    return null;
  }

  /**
   * No ticket: the session may be over, the CSRF token may be replaced (by a log-in in another tab), or a firewall may
   * refuse. Only the first leads to the log-in page. @returns {Promise<null>}
   */
  async refused() {
    const turn = this.turn;
    const csrf = await this.options.readCsrf(); // rejects without a connection
    if (turn !== this.turn) return null;
    if (csrf === null) {
      this.enter("stopped");
      this.options.onLogin();
      return null;
    }
    this.csrf = csrf || this.csrf;
    this.refusals += 1;
    this.retry(0, this.refusals > 1 ? BLOCKED : "");
    return null;
  }

  /** @param {Frame} frame */
  receive(frame) {
    this.heardAt = performance.now();
    this.probing = false;
    this.watch((this.heartbeat + 15) * 1000);
    this.tell(frame);
    if (frame.type === "hello") return this.greet(frame);
    if (frame.type === "ping") return void this.send({ type: "pong" });
    this.unanswered.answer(frame);
    return this.options.onFrame(frame);
  }

  /** @param {Frame} hello */
  greet(hello) {
    this.ready = true;
    this.heartbeat = hello.heartbeat_s ?? this.heartbeat;
    this.traces = Boolean(hello.traceparent);
    this.resume = hello.resume ?? "";
    this.taken = "";
    this.frameBytes = hello.limits?.frame_bytes ?? LIMITS.frame_bytes;
    if (hello.features?.includes("short_deltas")) this.send({ type: "deltas", short: true });
    this.openedAt = performance.now();
    this.enter("open");
    this.options.onHello(hello);
    for (const command of this.unanswered.undelivered) this.deliver(command);
  }

  /** @param {number} code */
  closed(code) {
    clearTimeout(this.watchdog);
    this.socket = null;
    if (this.ready && performance.now() - (this.openedAt ?? 0) > STEADY_MS) this.failures = 0;
    this.ready = false;
    this.probing = false;
    const next = afterClose(code);
    this.tell({ type: "closed", next });
    const stops = next === "stop" || next === "leave";
    this.unanswered.lost(code, stops);
    if (next === "reconnect") this.retry();
    else if (next === "rest") this.enter("resting");
    else {
      this.enter("stopped", stops ? closeMessage(code) : "");
      if (next === "login") this.options.onLogin();
    }
  }

  /**
   * Tries again after a random part of a growing delay: clients of a lost server must not come back all at once.
   * @param {number} [atLeast] ms @param {string} [detail] why, where it is known
   */
  retry(atLeast = 0, detail = "") {
    const longest = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(this.failures, 10));
    this.failures += 1;
    this.enter(navigator.onLine === false ? "offline" : "reconnecting", detail);
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
