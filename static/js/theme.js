// Runs before the first paint: light, dark, or as the system. No inline script: the policy forbids it.
(() => {
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const choice = root.dataset.theme;
    const theme = choice === "light" || choice === "dark" ? choice : dark.matches ? "dark" : "light";
    root.setAttribute("data-bs-theme", theme);
  };
  apply();
  dark.addEventListener("change", apply);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-choice]");
    if (!button) return;
    root.dataset.theme = button.dataset.themeChoice;
    document.cookie = `mailadmin_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
    apply();
    document.dispatchEvent(new CustomEvent("theme"));
  });
})();
