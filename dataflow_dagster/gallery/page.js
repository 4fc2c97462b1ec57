"use strict";
// Rows come as data and reach the page as text and addresses alone: nothing of a row is read as HTML.
const page = JSON.parse(document.getElementById("page").textContent);
const cards = document.getElementById("cards");
const STEP = 100;
let rows = page.rows, wanted = "all", said = "", shown = STEP, chunk = 0, loading = false;

function make(tag, text, name) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
}

function figure(medium) {
  const box = make("figure"), video = medium.kind === "video";
  const seen = make(video ? "video" : "img");
  if (video) {
    seen.controls = true;
    seen.preload = medium.poster ? "none" : "metadata";
    if (medium.poster) seen.poster = medium.poster;
  } else {
    seen.loading = "lazy";
    seen.decoding = "async";
    seen.alt = medium.label;
    seen.onload = () => box.classList.toggle("small", seen.naturalWidth < 160);
  }
  seen.onerror = () => seen.replaceWith(make("div", "not there: " + medium.name, "gone"));
  seen.src = medium.at;
  const link = make("a");
  link.href = medium.at;
  link.target = "_blank";
  link.rel = "noopener";
  video ? box.append(seen) : (link.append(seen), box.append(link));
  box.append(make("figcaption", medium.label));
  return box;
}

function card(row) {
  const box = make("article", undefined, row.error ? "failed" : "");
  if (row.media.length) {
    const media = make("div", undefined, "media");
    media.append(...row.media.map(figure));
    box.append(media);
  }
  const body = make("div", undefined, "body");
  for (const text of row.texts) {
    const said = make("div", undefined, "text");
    said.append(make("b", text.label), document.createTextNode(text.text));
    body.append(said);
  }
  if (row.error) {
    const error = make("div", undefined, "error");
    error.append(make("b", row.error.step + ": " + row.error.kind), row.error.message);
    body.append(error);
  }
  const seeds = row.seeds.map((seed) => seed.step + " seed " + seed.seed).join(" · ");
  body.append(make("div", "id " + row.id + (seeds ? " · " + seeds : ""), "foot"));
  box.append(body);
  return box;
}

function matches(row) {
  if (wanted === "failed" && !row.error) return false;
  if (wanted === "ok" && row.error) return false;
  if (!said) return true;
  row.searched ??= [row.id, ...row.texts.map((t) => t.text), ...row.media.map((m) => m.name),
    row.error ? row.error.kind + " " + row.error.message : ""].join("\n").toLowerCase();
  return row.searched.includes(said);
}

function draw() {
  const found = rows.filter(matches);
  cards.replaceChildren(...found.slice(0, shown).map(card));
  document.getElementById("none").hidden = found.length > 0;
  const here = document.getElementById("here");
  here.textContent = found.length === rows.length && !said ? "" : `· ${found.length} found`;
  const more = document.getElementById("more");
  const failedLeft = wanted !== "ok" && chunk < page.chunks.length;
  more.hidden = found.length <= shown && !failedLeft;
  more.textContent = found.length > shown ? "Show more" : "Load more failed rows";
  more.onclick = () => (found.length > shown ? ((shown += STEP), draw()) : load());
}

// Files beside the page, as scripts: a page opened from disk may not fetch.
window.dataflowRows = (more) => {
  rows = rows.concat(more);
  shown += STEP;
  chunk += 1;
  loading = false;
  draw();
};

function load() {
  if (loading || chunk >= page.chunks.length) return;
  loading = true;
  const script = make("script");
  script.src = page.chunks[chunk];
  script.onerror = () => { loading = false; };
  document.body.append(script);
}

for (const chip of document.querySelectorAll("[data-wanted]")) {
  chip.onclick = () => {
    wanted = chip.dataset.wanted;
    shown = STEP;
    for (const other of document.querySelectorAll("[data-wanted]"))
      other.setAttribute("aria-pressed", String(other === chip));
    draw();
  };
}
const search = document.getElementById("search");
search.oninput = () => { said = search.value.trim().toLowerCase(); shown = STEP; draw(); };
draw();
