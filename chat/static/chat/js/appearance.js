// The settings' part "Appearance": each choice is kept in this browser and holds at once, also in its other tabs.
// A classic script on purpose: account pages have no import map. boot.js applies the choices before the first paint.
(() => {
  const form = document.getElementById("appearance-form");
  if (!form) return;
  const root = document.documentElement;

  /** @param {string} name @param {string | null} value */
  const apply = (name, value) => {
    if (name === "enter") return; // read by the message field
    if (value) root.dataset[name] = value;
    else delete root.dataset[name];
  };

  const show = () => {
    for (const field of form.querySelectorAll("select")) {
      try {
        field.value = localStorage.getItem(`antiphon.${field.name}`) ?? "";
      } catch {
        field.disabled = true; // storage is blocked: nothing can be kept
      }
    }
  };

  form.addEventListener("change", (event) => {
    const { name, value } = /** @type {HTMLSelectElement} */ (event.target);
    apply(name, value);
    try {
      if (value) localStorage.setItem(`antiphon.${name}`, value);
      else localStorage.removeItem(`antiphon.${name}`);
    } catch {
      // It holds until this page is left.
    }
  });
  addEventListener("storage", (event) => {
    if (event.key?.startsWith("antiphon.")) {
      const name = event.key.slice("antiphon.".length);
      if (form.querySelector(`select[name="${CSS.escape(name)}"]`)) apply(name, event.newValue);
      show();
    }
  });
  show();
  form.hidden = false;
})();
