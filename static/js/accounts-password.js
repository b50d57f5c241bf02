// The password field: show it, copy it, and make one that nobody can guess.
(() => {
  // Groups of two syllables and a digit, "kapim4": easy to read out and to type, no l, 1, o or 0
  // beside each other. 18³ × 5² × 8 a group is 20.1 bits; four groups have 80. A rule that asks
  // for more than their 27 characters (`data-least`) gets more groups.
  const CONSONANTS = "bcdfghjkmnprstvwxz";
  const VOWELS = "aeiou";
  const DIGITS = "23456789";
  const GROUPS = 4;

  const pick = (signs) => {
    // Numbers from the uneven rest at the top would favour the first signs: draw again.
    const limit = 256 - (256 % signs.length);
    const draw = new Uint8Array(1);
    do crypto.getRandomValues(draw); while (draw[0] >= limit);
    return signs[draw[0] % signs.length];
  };
  const group = () => [CONSONANTS, VOWELS, CONSONANTS, VOWELS, CONSONANTS, DIGITS].map(pick).join("");
  const passphrase = (least) => {
    const groups = Math.max(GROUPS, Math.ceil((least + 1) / 7)); // of six signs and a hyphen
    return Array.from({ length: groups }, group).join("-");
  };

  const show = (box, shown) => {
    const button = box.querySelector("[data-reveal]");
    box.querySelector("input").type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
    button.classList.toggle("active", shown);
  };

  document.addEventListener("click", (event) => {
    const box = event.target.closest("[data-password]");
    if (!box) return;
    const input = box.querySelector("input");
    if (event.target.closest("[data-reveal]")) show(box, input.type === "password");
    if (event.target.closest("[data-generate]")) {
      input.value = passphrase(Number(box.querySelector("[data-least]")?.dataset.least ?? 0));
      show(box, true);
      input.dispatchEvent(new Event("input", { bubbles: true }));
      input.select();
    }
  });

  // A shown password would be offered by the browser's form history.
  document.addEventListener("submit", (event) => {
    for (const box of event.target.querySelectorAll("[data-password]")) show(box, false);
  });
})();
