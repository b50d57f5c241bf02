// Ticking rows of a list: all at once, how many, and the buttons that need some.
(() => {
  const form = document.querySelector("[data-selection]");
  if (!form) return;
  // One in the head of the table, and one above it for phones.
  const all = [...form.querySelectorAll("[data-select-all]")];
  const count = form.querySelector("[data-selection-count]");
  if (!all.length || !count) return;
  const boxes = [...form.querySelectorAll("tbody input[type=checkbox]")];

  const freshen = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    for (const box of all) {
      box.checked = ticked > 0 && ticked === boxes.length;
      box.indeterminate = ticked > 0 && ticked < boxes.length;
    }
    count.textContent = ticked ? count.dataset.some.replace("{n}", ticked) : count.dataset.none;
    for (const button of form.querySelectorAll("[data-selection-act]")) button.disabled = !ticked;
  };

  form.addEventListener("change", (event) => {
    if (all.includes(event.target)) for (const box of boxes) box.checked = event.target.checked;
    freshen();
  });
  freshen();
  // Going back restores the ticks after this script ran.
  addEventListener("pageshow", freshen);
})();
