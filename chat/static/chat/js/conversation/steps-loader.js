/** Loads the view of steps where an answer has some; an answer without tools never does. */

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */
/** @typedef {import("antiphon/conversation/steps").StepsView} StepsView */
/** @typedef {{say: (words: string) => void}} Options */

/** What follows is done in order, also while the module is being loaded. @type {WeakMap<Element, Promise<StepsView>>} */
const views = new WeakMap();

/** The view of a message's steps. @param {Element} message its element @param {(words: string) => void} say tells a screen reader */
export function loadSteps(message, say) {
  const known = views.get(message);
  if (known) return known;
  const made = import("antiphon/conversation/steps").then(({ StepsView }) => new StepsView(message, say));
  made.catch(() => views.delete(message)); // without a connection: the next event tries again
  views.set(message, made);
  return made;
}

/** Takes over the steps that the server put into the page. @param {Element} message @param {(words: string) => void} say */
export function adoptSteps(message, say) {
  if (message.querySelector(":scope > .steps")) loadSteps(message, say).catch(() => {});
}

/** The server's state of a run's steps. @param {MessageView} view @param {import("antiphon/wire/protocol").Run | null | undefined} run */
export function assignSteps(view, run) {
  const known = views.has(view.element);
  if (!run?.steps?.some((step) => step.calls?.length) && !known) return;
  loadSteps(view.element, view.say).then((steps) => steps.assign(run?.steps ?? [])).catch(() => {});
}

/** An event of a run's steps. A step of the model alone shows nothing. @param {MessageView} view @param {Frame} event */
export function applyStep(view, event) {
  view.heardAt = performance.now();
  if (view.status === "pending") view.await(event.type === "run.step" && event.status !== "running" ? "model" : "tool", view.heardAt);
  if (event.type === "run.step" && event.kind === "model" && !views.has(view.element)) return;
  loadSteps(view.element, view.say).then((steps) => steps.apply(event)).catch(() => {});
}

/** A run has ended: nothing of it runs any more. @param {MessageView} view */
export function endSteps(view) {
  views.get(view.element)?.then((steps) => steps.end()).catch(() => {});
}
