/** Whether a key belongs to an input method, which composes a word. In Safari the key that ends it comes after, as 229. @param {KeyboardEvent} event */
export function isComposing(event) {
  return event.isComposing || event.keyCode === 229;
}
