// Opens every result in the report's own view, as its eye button does, and writes down what is seen there.
// A table's page lies in a frame that its report may not look into, so the click is put into the page, which tells back.
(async () => {
  const seen = {}, pause = milliseconds => new Promise(done => setTimeout(done, milliseconds));
  const told = {};
  addEventListener("message", event => { if (event.data.path) told[event.data.path] = event.data; });

  const click = path => `
    const table = document.querySelector("table"), button = table.querySelector("th button");
    const names = () => [...table.tBodies[0].rows].map(row => row.cells[button.closest("th").cellIndex].textContent.trim());
    const before = names(), expected = [...before].sort((a, b) => (a === "") - (b === "") || b.localeCompare(a));
    button.click();
    const arrow = button.closest("th").getAttribute("aria-sort");
    parent.postMessage({path: ${JSON.stringify(path)}, before, expected, after: names(), arrow}, "*");`;

  function withClick(uri, path) {
    const [head, body] = uri.split(";base64,");
    const page = new TextDecoder().decode(Uint8Array.from(atob(body), letter => letter.charCodeAt(0)));
    const bytes = new TextEncoder().encode(page.replace("</body>", () => `<script>${click(path)}</${"script"}></body>`));
    return `${head};base64,${btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(""))}`;
  }

  while (typeof app === "undefined" || !app) await pause(50);
  for (const [path, entry] of Object.entries(results)) {
    if (path.endsWith(".html")) {
      app.setView({content: "html", contentPath: withClick(entry.data_uri, path), resultPath: path});
      for (let tries = 0; tries < 40 && !told[path]; tries++) await pause(50);
      seen[path] = told[path] ?? {before: [], expected: [], after: [], arrow: null};
    } else if (/[.](svg|png)$/.test(path)) {
      app.setView({content: "img", contentPath: entry.data_uri, resultPath: path});
      await pause(50);
      const picture = [...document.querySelectorAll("img")].find(image => image.src === entry.data_uri);
      for (let tries = 0; tries < 40 && picture && !picture.complete; tries++) await pause(50);
      seen[path] = {width: picture?.naturalWidth ?? 0, height: picture?.naturalHeight ?? 0};
    }
  }
  const paper = document.createElement("pre");
  paper.id = "seen";
  paper.textContent = JSON.stringify(seen);
  document.body.append(paper);
})();
