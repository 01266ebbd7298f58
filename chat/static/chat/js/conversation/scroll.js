/** Keeps the end of the conversation in view until the reader scrolls up. */

const NEAR_PX = 48;

export class Scroll {
  /** @param {HTMLElement} scroller @param {HTMLElement} content @param {HTMLElement} button "jump to the latest" */
  constructor(scroller, content, button) {
    this.scroller = scroller;
    this.button = button;
    this.pinned = true;
    this.top = 0;
    this.height = 0; // of the content, when it was last looked at
    this.view = 0; // of the scroller, likewise
    scroller.addEventListener("scroll", () => this.read(), { passive: true });
    scroller.addEventListener("wheel", (event) => event.deltaY < 0 && this.release(), { passive: true });
    button.addEventListener("click", () => this.toEnd());
    const follow = new ResizeObserver(() => (this.pinned ? this.jump() : this.offer()));
    follow.observe(content);
    follow.observe(scroller);
    this.jump();
  }

  get distance() {
    return this.scroller.scrollHeight - this.scroller.clientHeight - this.scroller.scrollTop;
  }

  read() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    // Content that was shorter for a moment moves the position up, too: no reader did that.
    const same = scrollHeight === this.height && clientHeight === this.view;
    const up = same && scrollTop < this.top - 1;
    this.note();
    if (this.distance < NEAR_PX) this.pinned = this.pinned || !up;
    else if (up) this.pinned = false;
    this.offer();
  }

  /** Offers the way down when there is one. */
  offer() {
    this.button.hidden = this.pinned || this.distance < NEAR_PX * 3;
  }

  release() {
    if (this.distance > 0 || this.scroller.scrollTop > 0) this.pinned = false;
  }

  note() {
    this.top = this.scroller.scrollTop;
    this.height = this.scroller.scrollHeight;
    this.view = this.scroller.clientHeight;
  }

  jump() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.note();
    this.button.hidden = true;
  }

  toEnd() {
    this.pinned = true;
    this.jump();
  }

  /** Changes what stands above or around an element without moving it. @param {Element} anchor @param {() => void} change */
  hold(anchor, change) {
    const before = anchor.getBoundingClientRect().top;
    this.pinned = false;
    change();
    this.scroller.scrollTop += (anchor.isConnected ? anchor.getBoundingClientRect().top : before) - before;
    this.note();
    this.read();
  }
}
