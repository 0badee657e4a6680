// Runs before the first paint, so that a dark page does not flash white. Everything else is a module.
{
  let theme = "auto";
  try {
    theme = localStorage.getItem("fleetwire.theme") || "auto";
  } catch {
    // Storage may be forbidden.
  }
  const dark = theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}
