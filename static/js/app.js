// What moves on every page: menus, dialogs, copy buttons, relative times, and htmx's manners.
(() => {
  const root = document.documentElement;
  const body = document.body;

  // The section of the navigation this page belongs to.
  for (const nav of document.querySelectorAll("[data-section]")) {
    const item = nav.querySelector(`[data-nav="${nav.dataset.section.trim()}"]`);
    if (!item) continue;
    item.classList.add("active");
    item.querySelector("a").setAttribute("aria-current", "page");
  }

  // The chosen theme, for screen readers and for the eye.
  const markTheme = () => {
    for (const button of document.querySelectorAll("[data-theme-choice]")) {
      const on = button.dataset.themeChoice === root.dataset.theme;
      button.setAttribute("aria-pressed", String(on));
      button.classList.toggle("active", on);
    }
  };
  markTheme();
  document.addEventListener("theme", markTheme);

  const toast = (text, kind = "") => {
    const line = document.createElement("div");
    line.className = `toast-line ${kind}`;
    line.textContent = text;
    document.getElementById("toasts").append(line);
    setTimeout(() => line.remove(), 4000);
  };

  document.addEventListener("click", async (event) => {
    // A menu closes when anything outside is clicked, or when something in it was chosen.
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target) || event.target.closest(".dropdown-item")) menu.open = false;
    }
    const toggle = event.target.closest("[data-toggle]");
    if (toggle) {
      const target = document.querySelector(toggle.dataset.toggle);
      const open = target.classList.toggle("show");
      toggle.setAttribute("aria-expanded", String(open));
    }
    const opener = event.target.closest("[data-dialog]");
    if (opener) document.getElementById(opener.dataset.dialog).showModal();
    if (event.target.closest("dialog [data-close]")) event.target.closest("dialog").close();
    if (event.target instanceof HTMLDialogElement) event.target.close(); // the backdrop
    const copy = event.target.closest("[data-copy], [data-copy-from]");
    if (copy) {
      const from = copy.dataset.copyFrom && document.querySelector(copy.dataset.copyFrom);
      await navigator.clipboard.writeText(from ? (from.value ?? from.textContent) : copy.dataset.copy);
      copy.classList.add("copied");
      setTimeout(() => copy.classList.remove("copied"), 1500);
      toast(body.dataset.copied);
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.querySelector("details.menu[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });

  // A form that was sent is not sent twice.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method === "dialog" || form.hasAttribute("hx-post")) return;
    if (form.dataset.sent) return event.preventDefault();
    if (form.method !== "post") return;
    form.dataset.sent = "yes";
    event.submitter?.classList.add("btn-loading");
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
    for (const button of document.querySelectorAll(".btn-loading")) button.classList.remove("btn-loading");
  });

  // A select or filter that acts at once.
  document.addEventListener("change", (event) => {
    if (event.target.closest("[data-submit-on-change]")) event.target.form.requestSubmit();
  });

  // A date and time as the reader writes it; the moment it is travels beside it.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const place of document.querySelectorAll("[data-zone]")) place.textContent = zone;
  const tell = (input) => {
    const moment = input.value && new Date(input.value);
    input.form.elements[input.dataset.moment].value = moment ? moment.toISOString() : "";
  };
  for (const input of document.querySelectorAll("input[data-moment]")) {
    input.addEventListener("input", () => tell(input));
    tell(input);
  }

  // Fields that only matter for one choice: data-shown-for="name=value".
  const follow = (part) => {
    const [name, value] = part.dataset.shownFor.split("=");
    const form = part.closest("form");
    const show = () => { part.hidden = form.elements[name].value !== value; };
    form.addEventListener("change", show);
    window.addEventListener("pageshow", show);
    show();
  };
  document.querySelectorAll("[data-shown-for]").forEach(follow);

  const relative = new Intl.RelativeTimeFormat(root.lang || "en", { numeric: "auto" });
  const steps = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];
  const say = (moment) => {
    const seconds = (moment - Date.now()) / 1000;
    for (const [unit, size] of steps) {
      if (Math.abs(seconds) >= size) return relative.format(Math.round(seconds / size), unit);
    }
    return relative.format(Math.round(seconds), "second");
  };
  const freshen = () => {
    for (const time of document.querySelectorAll("time[data-local]")) {
      time.textContent = new Date(time.dateTime)
        .toLocaleString(root.lang, { dateStyle: "medium", timeStyle: "short" });
    }
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const moment = new Date(time.dateTime);
      time.textContent = say(moment);
      if (!time.dataset.exact) {
        time.dataset.exact = "yes";
        time.title = moment.toLocaleString(root.lang, { dateStyle: "full", timeStyle: "long" });
      }
    }
  };
  const prepare = (part) => {
    freshen();
    for (const dialog of part.querySelectorAll?.("dialog[data-open]") ?? []) dialog.showModal();
    for (const bar of part.querySelectorAll?.("[data-width]") ?? []) bar.style.width = `${bar.dataset.width}%`;
  };
  prepare(document);
  setInterval(freshen, 20000);

  // htmx: the CSRF token, our own dialog for hx-confirm, and what to do when the console is away.
  const token = document.querySelector("meta[name=csrf-token]")?.content;
  document.addEventListener("htmx:config:request", (event) => {
    if (token) event.detail.ctx.request.headers["X-CSRFToken"] = token;
  });
  document.addEventListener("htmx:before:response", (event) => {
    // A session that ended answers with the sign-in page: show all of it, not inside a fragment.
    const raw = event.detail.ctx.response.raw;
    if (raw.redirected && new URL(raw.url).pathname.startsWith("/session/")) {
      event.preventDefault();
      location.reload();
    }
  });
  document.addEventListener("htmx:after:settle", (event) => prepare(event.target.parentElement ?? document));
  document.addEventListener("htmx:after:swap", () => prepare(document));
  let lost = false;
  document.addEventListener("htmx:error", () => {
    if (!lost) toast(body.dataset.lost, "toast-danger");
    lost = true;
  });
  document.addEventListener("htmx:after:request", () => { lost = false; });
  document.addEventListener("htmx:confirm", (event) => {
    if (!event.detail.ctx.confirm) return;
    event.preventDefault();
    const dialog = document.getElementById("ask");
    document.getElementById("ask-text").textContent = event.detail.ctx.confirm;
    dialog.returnValue = "no";
    dialog.showModal();
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "yes") event.detail.issueRequest();
      else event.detail.dropRequest();
    }, { once: true });
  });
})();
// A passkey that was cancelled or refused: say so where the button is.
document.addEventListener("allauth.error", (event) => {
  const line = document.getElementById("passkey-problem");
  if (!line) return;
  event.preventDefault();
  line.classList.remove("d-none");
});
