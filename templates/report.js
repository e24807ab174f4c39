for (const figure of document.querySelectorAll(".sheet.sortable")) {
  const body = figure.querySelector("tbody");
  const rows = [...body.rows];
  const search = figure.querySelector("input");
  const choice = figure.querySelector("select");
  const output = figure.querySelector("output");
  figure.querySelector(".controls").hidden = false;

  const filter = () => {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const fits = (!wanted || row.textContent.toLowerCase().includes(wanted))
        && (!choice || !choice.value || [...row.cells].some((cell) => cell.textContent === choice.value));
      row.hidden = !fits;
      shown += fits;
    }
    output.textContent = `${shown} of ${rows.length} rows`;
  };
  search.addEventListener("input", filter);
  choice?.addEventListener("change", filter);
  filter();

  figure.querySelectorAll("th").forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") !== "descending";
      figure.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.key ?? row.cells[column].textContent;
      const numeric = rows.some((row) => key(row) !== "" && Number.isFinite(Number(key(row))));
      const order = (one, two) => {
        const [a, b] = [key(one), key(two)];
        if (!numeric) return a.localeCompare(b);
        const [x, y] = [a, b].map((text) => (text === "" || Number.isNaN(Number(text)) ? -Infinity : Number(text)));
        return x - y || 0;
      };
      rows.sort((one, two) => (down ? order(two, one) : order(one, two)));
      body.append(...rows);
    });
  });
}
