// Before the first paint: the theme and density this device was set to. Kept apart from app.js, which loads later.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stored = name => { try { return localStorage.getItem(name); } catch { return null; } };
  const apply = () => {
    const theme = stored("theme") || "system";
    root.dataset.theme = theme === "system" ? (dark.matches ? "dark" : "light") : theme;
    root.dataset.themeChoice = theme;
    root.dataset.density = stored("density") || "normal";
  };
  apply();
  dark.addEventListener("change", apply);
  addEventListener("storage", apply);
  addEventListener("tangram:look", apply);
})();
