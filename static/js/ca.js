// The forms that make authorities: names follow the organisation until they are typed, and the
// number of days is asked for only when another life than the usual ones is wanted.
(() => {
  for (const follower of document.querySelectorAll("[data-follow]")) {
    const source = document.getElementsByName(follower.dataset.follow)[0];
    if (!source) continue;
    const suggestion = () => (source.value.trim() ? `${source.value.trim()} ${follower.dataset.suffix}` : "");
    let last = suggestion();
    source.addEventListener("input", () => {
      if (follower.value === "" || follower.value === last) follower.value = suggestion();
      last = suggestion();
    });
  }
  for (const select of document.querySelectorAll("select[name$=_life]")) {
    const days = document.getElementsByName(select.name.replace(/_life$/, "_days"))[0];
    const field = days?.closest(".field");
    if (!field) continue;
    const show = () => { field.hidden = select.value !== "other"; };
    show();
    select.addEventListener("change", show);
  }
  // What may be signed for is not asked when everything may.
  const every = document.querySelector("input[name=unconstrained]");
  const permitted = document.querySelector("textarea[name=permitted]");
  if (every && permitted) {
    const show = () => { permitted.closest(".field").hidden = every.checked; };
    show();
    every.addEventListener("change", show);
  }
})();
// What is asked of a person: its name, only for kinds of certificate that have one.
(() => {
  const kind = document.querySelector("select[data-person]");
  const name = document.querySelector("input[name=common_name]")?.closest(".field");
  if (!kind || !name) return;
  const show = () => { name.hidden = !kind.dataset.person.split(" ").includes(kind.value); };
  show();
  kind.addEventListener("change", show);
})();
// A key that is handed over once: fetched, so that the page can tell a download that broke, and
// looked at anew afterwards.
document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-parcel]");
  if (!form) return;
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
    const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1];
    if (answer.ok && name) {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await answer.blob());
      link.download = name;
      link.click();
      setTimeout(() => location.reload(), 600);
      return;
    }
    location.reload();
  } catch {
    const line = document.createElement("p");
    line.className = "text-danger mt-2 mb-0";
    line.setAttribute("role", "alert");
    line.textContent = form.dataset.broken;
    form.append(line);
  }
});
