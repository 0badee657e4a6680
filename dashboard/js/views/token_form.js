// Asks for the access token, when the server wants one and the browser has none.

import { el, setText } from "../dom.js";

export class TokenForm {
  /** @param {import("../main.js").Context} context */
  constructor(context) {
    this.context = context;
    this.input = el("input", { id: "token", type: "password", autocomplete: "current-password", required: true, "data-testid": "token-input", "aria-describedby": "token-problem" });
    this.remember = el("input", { type: "checkbox", checked: true });
    this.problem = el("p.field-problem", { id: "token-problem", role: "alert" });
    this.button = el("button.button.button-primary", { type: "submit", text: "Connect", "data-testid": "token-submit" });
    this.element = el("form.token-form", { "data-testid": "token-form", onsubmit: (event) => this.#submit(event) },
      el("h1", { text: "Access token" }),
      el("p", {}, "This server wants a token. It is printed where Fleetwire was started; ", el("code", { text: "fleetwire token" }), " shows it again."),
      el("label", { for: "token", text: "Token" }), this.input, this.problem,
      el("label.check", {}, this.remember, "Remember on this computer"),
      this.button);
  }

  mount(parent) {
    parent.replaceChildren(this.element);
    this.update();
    this.input.focus();
  }

  unmount() {
    this.element.remove();
  }

  get title() {
    return "Token needed";
  }

  update() {
    setText(this.problem, this.context.store.connection.reason ?? "");
    this.button.disabled = false;
  }

  #submit(event) {
    event.preventDefault();
    const token = this.input.value.trim();
    if (!token) return;
    this.button.disabled = true;
    const { store, connection } = this.context;
    const stop = store.on("connection", () => {
      if (store.connection.state !== "live" && store.connection.state !== "auth") return;
      stop();
      if (store.connection.state === "live" && this.remember.checked) rememberToken(token);
      this.input.value = "";
    });
    connection.authenticate(token);
  }
}

/** Trade a token that is known to be right for the server's cookie, which scripts cannot read. */
async function rememberToken(token) {
  try {
    await fetch(`/?token=${encodeURIComponent(token)}`, { redirect: "manual", cache: "no-store", credentials: "same-origin" });
  } catch {
    // Then it is asked for again at the next visit.
  }
}
