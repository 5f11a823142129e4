// The card by which others come in: address, join code and QR code, also large for a projector and for paper.

import { copyText } from "../shared/copy.js";
import { byId, element, setIcon } from "../shared/dom.js";
import { t } from "../shared/words.js";

export function showInvitation(invitation) {
  byId("invite-body").replaceChildren(...invitation.address ? open(invitation) : closed(invitation));
}

function open(invitation) {
  const enlarge = element("button", { type: "button", class: "primary", "aria-label": `${t("Show it large")}: ${t("Address")}`, onclick: () => showLarge(invitation) }, t("Show it large"));
  const copy = setIcon(element("button", { type: "button", class: "icon" }), "copy", t("Copy the link"));
  copy.addEventListener("click", () => copyText(copy, () => invitation.link));
  return [
    element("div", { class: "invitation" }, code(invitation), element("div", {},
      element("p", { class: "about" }, invitation.code ? t("Pupils scan this, or open the address and type the code.") : t("Pupils scan this, or open the address.")),
      ...words(invitation),
      element("div", { class: "actions" }, enlarge, copy))),
  ];
}

function closed({ line }) {
  return [
    element("p", {}, t("So far only this computer can open the chat. To let your class in, stop it and start it with this line:")),
    element("pre", { class: "command-line", tabindex: 0, "aria-label": t("Command") }, line),
    element("p", { class: "about" }, t("This page then shows the address and a QR code. The code in the line was made for you; keep it, or choose another one of 12 characters or more.")),
  ];
}

const code = ({ qr, link }) => element("img", { class: "qr", src: qr, width: 200, height: 200, alt: t("QR code of {link}", { link: link.split("#")[0] }) });

function words({ address, code: typed }) {
  const rows = [[t("Address"), address.replace(/^https?:\/\//, "")], ...typed ? [[t("Join code"), typed]] : []];
  return [element("dl", { class: "join-words" }, ...rows.map(([name, text]) => element("div", {}, element("dt", {}, name), element("dd", { dir: "ltr" }, text))))];
}

function showLarge(invitation) {
  const dialog = byId("large");
  byId("large-body").replaceChildren(code(invitation), element("div", {}, element("h2", { id: "large-title" }, t("Join the chat")), ...words(invitation)));
  dialog.showModal();
}

byId("close-large").addEventListener("click", () => byId("large").close());
byId("print").addEventListener("click", () => window.print());
