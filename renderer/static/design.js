// Gestures of the designer: each becomes one small operation, the server answers the whole designer. Texts come from the server.
(() => {
  "use strict";
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const desk = () => one("#designer");
  // One gesture after the other: each is made from the canvas as the one before left it.
  let last = Promise.resolve();
  const queue = make => {
    last = last.then(() => {
      const made = make();
      if (!made || !desk()) return null;
      const { path = "/op", ...values } = made;
      return htmx.ajax("POST", desk().dataset.design + path, {
        source: desk(), target: "#designer", swap: "morph:outerHTML", values: { select: desk().dataset.select, ...values, number: desk().dataset.number } });
    }).catch(() => null);
  };
  const act = operation => queue(() => operation);
  const step = name => queue(() => ({ path: "/" + name }));
  const zoneOf = item => item.closest("[data-zone]");
  const place = (item, zone) => (zone.dataset.zone === "columns" ? {} : { section: zone.dataset.zone });
  const items = zone => all(":scope > [data-item]", zone);

  const attach = root => {
    if (!window.Sortable) return;
    const found = selector => [...(root.matches?.(selector) ? [root] : []), ...all(selector, root)];
    found("[data-palette]").forEach(box => {
      if (box.sortable) return;
      box.sortable = Sortable.create(box, { group: { name: "fields", pull: "clone", put: false }, sort: false, draggable: ".tile", animation: 120, delay: 160, delayOnTouchOnly: true });
    });
    found("[data-zone]").forEach(zone => {
      if (zone.sortable) return;
      zone.sortable = Sortable.create(zone, {
        group: "fields", draggable: "[data-item], .tile", animation: 120, ghostClass: "drag-ghost", delay: 160, delayOnTouchOnly: true,
        onAdd: event => {
          if (!event.item.matches(".tile")) return;
          const at = all(":scope > [data-item], :scope > .tile", zone).indexOf(event.item);
          const { type, field } = event.item.dataset;
          event.item.remove();
          act({ op: "add", ...(type ? { type } : { field }), ...place(null, zone), at });
        },
        onEnd: event => {
          if (!event.item.matches("[data-item]") || (event.from === event.to && event.oldDraggableIndex === event.newDraggableIndex)) return;
          act({ op: "move", item: event.item.dataset.item, ...place(event.item, event.to), at: items(event.to).indexOf(event.item) });
        },
      });
    });
  };

  const shift = (key, by) => queue(() => {
    const item = one(`[data-item="${CSS.escape(key)}"]`);
    if (!item) return null;
    const zone = zoneOf(item), list = items(zone), at = list.indexOf(item) + by;
    if (at >= 0 && at < list.length) return { op: "move", item: key, ...place(item, zone), at };
    const zones = all("[data-zone]"), next = zones[zones.indexOf(zone) + by];
    return next && { op: "move", item: key, ...place(item, next), at: by < 0 ? items(next).length : 0 };
  });
  const chosen = () => one("[data-item].selected");

  document.addEventListener("click", event => {
    const tile = event.target.closest(".palette .tile");
    if (tile) {
      const near = chosen(), zones = all("[data-zone]"), zone = near ? zoneOf(near) : one(".design-section.selected [data-zone]") || zones[zones.length - 1];
      if (!zone) return;
      const { type, field } = tile.dataset;
      act({ op: "add", ...(type ? { type } : { field }), ...place(null, zone), at: near ? items(zone).indexOf(near) + 1 : items(zone).length });
      return;
    }
    const direct = event.target.closest("#designer [data-op]");
    if (direct) { act(JSON.parse(direct.dataset.op)); return; }
    const stepping = event.target.closest("[data-step]");
    if (stepping) { step(stepping.dataset.step); return; }
    const shifting = event.target.closest("[data-shift]");
    if (shifting && chosen()) { shift(chosen().dataset.item, Number(shifting.dataset.shift)); return; }
    const view = event.target.closest("[data-view]");
    if (view) {
      one("#canvas").className = "canvas " + view.dataset.view;
      all("[data-view]").forEach(button => button.setAttribute("aria-pressed", String(button === view)));
    }
  });

  // ---- palette: what does not match what is searched is put away
  document.addEventListener("input", event => {
    if (!event.target.matches("[data-palette-search]")) return;
    const sought = event.target.value.trim().toLowerCase();
    all(".palette .tile").forEach(tile => { tile.hidden = !!sought && !`${tile.title} ${tile.dataset.field} ${tile.dataset.type}`.toLowerCase().includes(sought); });
    all(".palette .group").forEach(group => { group.hidden = !one(".tile:not([hidden])", group); });
    one("[data-palette-none]").hidden = !!one(".palette .group:not([hidden])");
  });

  // ---- panel: a condition is asked for before it is sent
  for (const type of ["input", "change"]) document.addEventListener(type, event => {
    if (!event.target.matches("select[data-mode]")) return;
    const text = one("textarea", event.target.form);
    text.hidden = event.target.value !== "when";
    if (!text.hidden && !text.value.trim()) { event.stopPropagation(); text.focus(); }
  }, true);

  const typing = element => element?.matches?.("input, textarea, select, [contenteditable]");
  document.addEventListener("keydown", event => {
    if (!desk() || typing(event.target)) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") { event.preventDefault(); step(event.shiftKey ? "redo" : "undo"); return; }
    const item = event.target.closest?.("[data-item]");
    if (!item) return;
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); htmx.trigger(item, "choose"); }
    if (event.key === "Delete" || event.key === "Backspace") { event.preventDefault(); act({ op: "remove", item: item.dataset.item }); }
    if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) { event.preventDefault(); shift(item.dataset.item, event.key === "ArrowUp" ? -1 : 1); }
  });

  htmx.onLoad(attach);
})();
