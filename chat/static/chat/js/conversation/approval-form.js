/** The form of a question that a tool asks, made from its JSON schema: a flat object, as the server has checked it. */

import { t } from "antiphon/lib/texts";

/**
 * @typedef {object} Field
 * @property {"string" | "number" | "integer" | "boolean" | "array"} type
 * @property {{enum: string[], enumNames?: string[]}} [items] of an array: its choices
 * @property {string} [title]
 * @property {string} [description]
 * @property {string[]} [enum]
 * @property {string[]} [enumNames]
 * @property {string} [format]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {number} [minLength]
 * @property {number} [maxLength]
 * @property {unknown} [default]
 */
/** @typedef {{type: "object", properties: Record<string, Field>, required?: string[], order?: string[]}} Schema `order`: of the fields */

const LONG = 200; // a longer text gets several lines
const TYPES = /** @type {Record<string, string>} */ ({ email: "email", uri: "url", date: "date", "date-time": "datetime-local" });

/** @param {Schema} schema @param {string} id of the call: fields have ids of it */
export function buildFields(schema, id) {
  const names = schema.order ?? Object.keys(schema.properties);
  return names.map((name, place) => buildField(name, schema.properties[name], `q-${id}-${place}`, schema.required?.includes(name) ?? false));
}

/** @param {string} name @param {Field} field @param {string} id @param {boolean} required */
function buildField(name, field, id, required) {
  if (field.type === "array") return buildChoices(name, field, id, required);
  const row = Object.assign(document.createElement("div"), { className: "field" });
  const control = buildControl(field);
  Object.assign(control, { id, name, required: required && field.type !== "boolean" });
  control.dataset.type = field.type;
  if (field.format) control.dataset.format = field.format;
  const label = Object.assign(document.createElement("label"), { htmlFor: id, textContent: field.title || name, dir: "auto" });
  if (required && field.type !== "boolean") label.append(" ", Object.assign(document.createElement("span"), { className: "field-needed", textContent: t("(required)") }));
  row.append(...(field.type === "boolean" ? [control, label] : [label, control]));
  if (field.description) {
    const hint = Object.assign(document.createElement("p"), { id: `${id}-hint`, className: "helptext", textContent: field.description, dir: "auto" });
    control.setAttribute("aria-describedby", hint.id);
    row.append(hint);
  }
  return row;
}

/** Several choices of which any may be made. @param {string} name @param {Field} field @param {string} id @param {boolean} required */
function buildChoices(name, field, id, required) {
  const row = Object.assign(document.createElement("fieldset"), { className: "field field-choices", id, name });
  row.dataset.type = "array";
  const legend = Object.assign(document.createElement("legend"), { textContent: field.title || name, dir: "auto" });
  if (required) legend.append(" ", Object.assign(document.createElement("span"), { className: "field-needed", textContent: t("(required)") }));
  row.append(legend);
  if (field.description) row.append(Object.assign(document.createElement("p"), { className: "helptext", textContent: field.description, dir: "auto" }));
  const usual = Array.isArray(field.default) ? field.default : [];
  for (const [place, value] of (field.items?.enum ?? []).entries()) {
    const label = Object.assign(document.createElement("label"), { dir: "auto" });
    label.append(Object.assign(document.createElement("input"), { type: "checkbox", value, checked: usual.includes(value) }), field.items?.enumNames?.[place] ?? value);
    row.append(label);
  }
  return row;
}

/** @param {Field} field @returns {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} */
function buildControl(field) {
  if (field.enum) {
    const select = document.createElement("select");
    const named = field.enum.map((value, place) => new Option(field.enumNames?.[place] ?? value, value, false, field.default === value));
    select.append(new Option(t("Choose…"), "", !named.some((one) => one.selected)), ...named);
    return select;
  }
  if (field.type === "string" && !field.format && (field.maxLength ?? 0) > LONG) {
    return Object.assign(document.createElement("textarea"), { rows: 3, dir: "auto", ...limits(field), defaultValue: given(field) });
  }
  const input = document.createElement("input");
  if (field.type === "boolean") return Object.assign(input, { type: "checkbox", checked: field.default === true });
  if (field.type === "string") return Object.assign(input, { type: TYPES[field.format ?? ""] ?? "text", dir: "auto", ...limits(field), value: given(field) });
  input.type = "number";
  input.step = field.type === "integer" ? "1" : "any";
  if (field.minimum !== undefined) input.min = String(field.minimum);
  if (field.maximum !== undefined) input.max = String(field.maximum);
  input.value = given(field);
  return input;
}

/** @param {Field} field */
function limits(field) {
  return { ...(field.minLength !== undefined && { minLength: field.minLength }), ...(field.maxLength !== undefined && { maxLength: field.maxLength }) };
}

/** @param {Field} field */
function given(field) {
  return field.default === undefined ? "" : String(field.default);
}

/** The answer that a form has. What was left empty is left out. @param {HTMLFormElement} form @returns {Record<string, unknown>} */
export function readAnswer(form) {
  /** @type {Record<string, unknown>} */
  const answer = {};
  for (const control of form.querySelectorAll("[data-type]")) {
    const { name, value, dataset } = /** @type {HTMLInputElement} */ (control);
    if (dataset.type === "array") {
      const chosen = [...control.querySelectorAll("input:checked")].map((box) => /** @type {HTMLInputElement} */ (box).value);
      if (chosen.length) answer[name] = chosen;
    } else if (dataset.type === "boolean") answer[name] = /** @type {HTMLInputElement} */ (control).checked;
    else if (value === "") continue;
    else if (dataset.type === "string") answer[name] = dataset.format === "date-time" ? new Date(value).toISOString() : value;
    else answer[name] = Number(value);
  }
  return answer;
}
