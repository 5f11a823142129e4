// Forms that the bot shows, and the one for the visitor's own name: a dialog that keeps what was typed until it
// has been taken.

import { mark } from "./connection.js";
import { byId, element } from "../shared/dom.js";
import { upload } from "./upload.js";
import { t } from "../shared/words.js";

const dialog = byId("form");
let pending = null;

// Show a form. `send({fields, files, ref})` returns a sentence if it could not go out, else "". A `grave` one does what
// cannot be undone, so that a key too many cancels it.
export function showForm(form, send) {
  const error = element("p", { class: "error", role: "alert" });
  const controls = new Map(form.fields.map((field, index) => [field.name, { field, input: control(field, `field-${index}`) }]));
  const rows = [...controls.values()].map(({ field, input }) => row(field, input));
  const submit = element("button", { type: "submit", class: form.grave ? "primary grave" : "primary" }, form.submit ?? t("Send"));
  const cancel = element("button", { type: "button", class: "secondary", onclick: () => dialog.close() }, t("Cancel"));
  const made = element("form", { method: "dialog" },
    element("h2", { id: "form-title" }, form.title), form.about ? element("p", {}, form.about) : null, ...rows, error, element("div", { class: "buttons" }, submit, cancel));
  const fail = (text) => {
    error.textContent = text;
    submit.disabled = false;
  };
  // What is sent once more as it was keeps its mark, so that it is not done twice where only the answer was lost.
  let ref = mark();
  made.addEventListener("input", () => { ref = mark(); });
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    error.textContent = "";
    try {
      pending = fail;
      const problem = await send({ ref, ...await collect(controls) });
      if (problem) fail(problem);
    } catch (problem) {
      fail(problem.message);
    }
  });
  dialog.replaceChildren(made);
  if (!dialog.open) dialog.showModal();
  if (form.grave) cancel.focus();
}

// What the form was opened from may be gone by now.
dialog.addEventListener("close", () => { if (document.activeElement === document.body) byId("input").focus(); });

export const closeForm = () => dialog.close();
export const refuseForm = (text) => pending?.(text);

function row(field, input) {
  const name = field.title ?? field.name.replace(/^./, (char) => char.toUpperCase()).replaceAll("_", " ");
  const label = element("label", { for: input.id }, name, field.required ? "" : element("small", {}, ` ${t("optional")}`));
  const about = field.label === field.name ? null : element("small", { id: `${input.id}-about` }, field.label);
  if (about) input.setAttribute("aria-describedby", about.id);
  const range = [field.minimum, field.maximum].every((limit) => limit !== null) && isNumber(field)
    ? element("small", { class: "range" }, t("{low} to {high}", { low: field.minimum, high: field.maximum })) : null;
  return element("div", { class: `field ${field.kind}` }, label, about, input, range);
}

const isNumber = ({ kind }) => kind === "number" || kind === "integer";

function control(field, id) {
  const common = { id, name: field.name, required: field.required };
  switch (field.kind) {
    case "text": {
      const area = element("textarea", { ...common, rows: 3, maxlength: field.maximum });
      area.value = field.value;
      return area;
    }
    case "integer":
    case "number":
      return element("input", {
        ...common, type: "number", value: field.value, min: field.minimum, max: field.maximum,
        step: field.kind === "integer" ? 1 : "any",
      });
    case "boolean":
      return element("input", { id, name: field.name, type: "checkbox", checked: field.value.toLowerCase() === "true" });
    case "choice":
      return element("select", common, ...[...(field.required ? [] : [""]), ...field.choices].map((choice) => (
        element("option", { value: choice, selected: choice === field.value }, choice || "–")
      )));
    case "attachment":
      return element("input", { ...common, type: "file" });
    default:
      return element("input", { ...common, type: "text", value: field.value });
  }
}

async function collect(controls) {
  const fields = {}, files = {};
  for (const [name, { field, input }] of controls) {
    if (field.kind === "boolean") fields[name] = String(input.checked);
    else if (field.kind !== "attachment") fields[name] = input.value;
    else if (input.files.length) files[name] = await upload(input.files[0]);
  }
  return { fields, files };
}
