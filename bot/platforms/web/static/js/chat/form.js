// Forms of the bot and of the page itself, in a dialog that keeps what was typed until it has been accepted.

import { createRef } from "./connection.js";
import { byId, element } from "../shared/dom.js";
import { shownValue } from "../shared/names.js";
import { uploadFile } from "./upload.js";
import { t } from "../shared/words.js";

const dialog = byId("form");
let showFailure = null;

// Shows a form. `send({fields, files, ref})` returns a sentence if it could not be sent, else "". A `grave` form does
// something that cannot be undone, so its cancel button has the focus.
export function showForm(form, send) {
  const error = element("p", { class: "error", role: "alert" });
  const controls = new Map(form.fields.map((field, index) => [field.name, { field, input: control(field, `field-${index}`) }]));
  const rows = [...controls.values()].map(({ field, input }) => row(field, input));
  const submit = element("button", { type: "submit", class: form.grave ? "primary grave" : "primary" }, form.submit ?? t("Send"));
  const cancel = element("button", { type: "button", class: "secondary", onclick: () => dialog.close() }, t("Cancel"));
  const root = element("form", { method: "dialog" },
    element("h2", { id: "form-title" }, form.title), form.about ? element("p", {}, form.about) : null, ...rows, error, element("div", { class: "buttons" }, submit, cancel));
  const fail = (text) => {
    error.textContent = text;
    submit.disabled = false;
  };
  // A form that is sent again unchanged keeps its reference, so that it is not carried out twice if only the answer was lost.
  let ref = createRef();
  root.addEventListener("input", () => { ref = createRef(); });
  root.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    error.textContent = "";
    try {
      showFailure = fail;
      const problem = await send({ ref, ...await collect(controls) });
      if (problem) fail(problem);
    } catch (problem) {
      fail(problem.message);
    }
  });
  dialog.replaceChildren(root);
  if (!dialog.open) dialog.showModal();
  if (form.grave) cancel.focus();
}

// The element from which the form was opened may no longer exist.
dialog.addEventListener("close", () => { if (document.activeElement === document.body) byId("input").focus(); });

export const closeForm = () => dialog.close();
export const refuseForm = (text) => showFailure?.(text);

function row(field, input) {
  const name = field.title.replace(/^./, (char) => char.toUpperCase());
  const label = element("label", { for: input.id }, name, field.required ? "" : element("small", {}, ` ${t("optional")}`));
  const about = field.label ? element("small", { id: `${input.id}-about` }, field.label) : null;
  if (about) input.setAttribute("aria-describedby", about.id);
  const range = [field.minimum, field.maximum].every((limit) => limit !== null) && isNumber(field)
    ? element("small", { class: "range" }, t("{low} to {high}", { low: shownValue(field.minimum), high: shownValue(field.maximum) })) : null;
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
      return element("select", common, ...[...(field.required ? [] : [["", "–"]]), ...field.choices].map(([value, title]) => (
        element("option", { value, selected: value === field.value }, title)
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
    else if (input.files.length) files[name] = await uploadFile(input.files[0]);
  }
  return { fields, files };
}
