"use strict";
// The page reads well without this script: it only filters the table of clauses.
const tools = document.querySelector("#clause-tools");
if (tools) {
  const rows = [...document.querySelectorAll("tbody.clause")];
  const [search, result, polarity] = tools.querySelectorAll("input, select");
  const count = tools.querySelector("output");
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden =
        !words.every((word) => text.includes(word)) ||
        (result.value && row.dataset.result !== result.value) ||
        (polarity.value && row.dataset.polarity !== polarity.value);
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${rows.length}`;
  };
  // A link into a clause that the filter hides, or into what is folded, must still arrive.
  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    const folded = target?.closest("details:not([open])");
    const hidden = target?.closest("tbody.clause[hidden]");
    if (folded) folded.open = true;
    if (hidden) {
      search.value = result.value = polarity.value = "";
      filter();
    }
    if (folded || hidden) target.scrollIntoView();
  };
  const all = tools.querySelector("button");
  all.addEventListener("click", () => {
    const open = all.getAttribute("aria-pressed") !== "true";
    all.setAttribute("aria-pressed", String(open));
    all.textContent = open ? "Close all" : "Open all";
    for (const more of document.querySelectorAll("tbody.clause details")) more.open = open;
  });
  tools.addEventListener("input", filter);
  window.addEventListener("hashchange", reveal);
  tools.hidden = false;
  filter();
  reveal();
}
