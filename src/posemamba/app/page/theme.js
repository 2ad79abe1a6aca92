"use strict";
// Light or dark: as chosen earlier, else as the system is. Before anything is drawn, so that nothing flashes.
const chosenTheme = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
const systemTheme = matchMedia("(prefers-color-scheme: dark)");
function setTheme(name, keep) {
  document.documentElement.dataset.theme = name;
  if (keep) try { localStorage.setItem("theme", name); } catch { /* a browser that keeps nothing */ }
  const button = document.getElementById("theme");
  if (button) button.textContent = name === "dark" ? "Light" : "Dark";
  dispatchEvent(new Event("theme"));
}
setTheme(chosenTheme() || (systemTheme.matches ? "dark" : "light"), false);
systemTheme.addEventListener("change", () => chosenTheme() || setTheme(systemTheme.matches ? "dark" : "light", false));
addEventListener("DOMContentLoaded", () => {
  setTheme(document.documentElement.dataset.theme, false);
  document.getElementById("theme")?.addEventListener("click", () =>
    setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark", true));
});
