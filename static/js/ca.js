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
