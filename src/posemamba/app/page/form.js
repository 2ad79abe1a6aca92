// The form of options: drawn from what the server says, with the values of a job.
import { h } from "./dom.js";

const MAIN = "Main";

export class OptionsForm {
  /** Draw the form into an element. */
  constructor(element, fields, values = {}) {
    this.element = element;
    this.fields = fields;
    this.inputs = new Map();
    this.boxes = new Map();
    const groups = new Map();
    for (const field of fields) {
      if (!groups.has(field.group)) groups.set(field.group, []);
      groups.get(field.group).push(this.#field(field, values[field.name] ?? field.default));
    }
    this.groups = new Map();
    const more = [];
    for (const [name, boxes] of groups) {
      const set = h("fieldset", { class: name === MAIN ? "main" : "" }, h("legend", { class: name === MAIN ? "spoken" : "" }, name === MAIN ? "Options" : name), h("div", { class: "grid" }, boxes));
      this.groups.set(name, set);
      if (name !== MAIN) more.push(set);
    }
    this.more = h("details", { class: "more" }, h("summary", {}, "More options"), more);
    element.replaceChildren(this.groups.get(MAIN), this.more);
    element.addEventListener("submit", (event) => event.preventDefault());
  }

  #field(field, value) {
    const id = `o-${this.element.id || "again"}-${field.name}`, help = `${id}-help`;
    let input;
    if (field.type === "choice") {
      input = h("select", { id }, field.choices.map(([key, words]) => h("option", { value: key, selected: key === value }, words)));
    } else if (field.type === "yes") {
      input = h("input", { id, type: "checkbox", checked: value === true });
    } else {
      input = h("input", { id, type: "text", inputmode: field.type === "number" ? "decimal" : false, value: value || null, placeholder: field.hint, autocomplete: "off", maxlength: 200 });
    }
    input.setAttribute("aria-describedby", help);
    const label = h("label", { for: id }, field.label), note = h("span", { class: "help", id: help }, field.help);
    const box = field.type === "yes" ? h("div", { class: "field yes" }, h("span", {}, input, label), note) : h("div", { class: "field" }, label, input, note);
    this.inputs.set(field.name, input);
    this.boxes.set(field.name, box);
    return box;
  }

  /** Show what is for these kinds of files alone. */
  showFor(kinds) {
    for (const field of this.fields) this.boxes.get(field.name).hidden = !field.kinds.some((kind) => kinds.has(kind));
    for (const set of this.groups.values()) set.hidden = ![...set.querySelectorAll(".field")].some((box) => !box.hidden);
  }

  get values() {
    return Object.fromEntries(this.fields.map(({ name, type }) => {
      const input = this.inputs.get(name);
      return [name, type === "yes" ? input.checked : input.value.trim()];
    }));
  }
}
