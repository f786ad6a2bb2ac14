// Shared behaviour of all pages. Everything is delegated or attached when htmx loads a part; no texts here, they come from the server.
(() => {
  "use strict";
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const on = (type, handler, options) => document.addEventListener(type, handler, options);
  const csrf = () => one("meta[name=csrf]")?.content || "";
  const post = (url, values, more = {}) => htmx.ajax("POST", url, { values, swap: "none", target: document.body, ...more });

  // ---- requests: token, errors, progress, composing input methods
  let composing = false, waits = 0, timer = 0;
  on("compositionstart", () => { composing = true; });
  on("compositionend", event => { composing = false; event.target.dispatchEvent(new Event("input", { bubbles: true })); });
  on("htmx:configRequest", event => { event.detail.headers["X-CSRF-Token"] = csrf(); });
  on("htmx:beforeRequest", event => { if (composing && event.detail.requestConfig.triggeringEvent?.type !== "submit") event.preventDefault(); });
  const progress = () => one("#progress");
  const poll = event => event.detail.elt?.matches?.("[data-poll]");
  on("htmx:beforeRequest", event => { if (poll(event) && (document.hidden || one("#list details[open], .record-top details[open], .sortable-chosen"))) event.preventDefault(); });
  on("visibilitychange", () => { if (!document.hidden) all("[data-poll]").forEach(item => htmx.trigger(item, "poll")); });
  on("htmx:beforeSend", event => {
    if (poll(event)) return;
    waits += 1;
    timer ||= setTimeout(() => { progress().className = "going"; }, 150);
  });
  on("htmx:afterRequest", event => {
    if (poll(event)) return;
    waits = Math.max(0, waits - 1);
    if (waits) return;
    clearTimeout(timer); timer = 0;
    if (progress().className === "going") { progress().className = "done"; setTimeout(() => { progress().className = ""; }, 400); }
  });
  const words = name => one("#toasts")?.dataset[name] || "";
  on("htmx:responseError", event => {
    if (!poll(event) && !event.detail.xhr.getResponseHeader("HX-Trigger")) toast({ text: words("msgFailed"), kind: "error" });
  });
  on("htmx:sendError", event => { if (!poll(event)) toast({ text: words("msgOffline"), kind: "error" }); });

  // ---- bars that are longer than their window begin at what is current in them
  const inSight = root => all(".steps > .current, .tabs > [aria-current]", root).forEach(item => {
    const bar = item.parentElement, here = item.getBoundingClientRect(), room = bar.getBoundingClientRect();
    bar.scrollLeft += here.left - room.left - (room.width - here.width) / 2;
  });

  // ---- toasts: own actions only; errors stay until closed; undo where the server offers it
  function toast({ text, kind = "ok", undo = "" }) {
    const box = one("#toasts");
    if (!box || !text) return;
    const item = document.createElement("div");
    item.className = `toast ${kind}`;
    const said = document.createElement("span");
    said.textContent = text;
    item.append(said);
    const button = (label, action) => {
      const made = document.createElement("button");
      made.type = "button"; made.textContent = label;
      made.addEventListener("click", () => { item.remove(); action?.(); });
      item.append(made);
    };
    if (undo) button(words("msgUndo"), () => post(undo, {}));
    if (kind === "error") button(words("msgClose"));
    box.append(item);
    if (kind !== "error") setTimeout(() => item.remove(), undo ? 8000 : 4000);
  }
  on("toast", event => toast(event.detail));

  // ---- forms that ask before they are sent
  on("submit", event => { const asked = event.target.dataset.sure; if (asked && !confirm(asked)) event.preventDefault(); });
  on("goto", event => { location.href = event.detail.value || event.detail; });
  on("reload", () => location.reload());
  on("freshPage", async () => {
    await htmx.ajax("GET", location.pathname + location.search, { target: "#main", select: "#main", swap: "morph:outerHTML" });
    all("[data-counts]").forEach(tabs => htmx.trigger(tabs, "fresh")); // counts come after their page
  });

  // ---- menus (details), dialogs, drawer
  const closeMenus = except => all("details.menu[open]").forEach(menu => { if (menu !== except && !menu.contains(except)) menu.open = false; });
  on("click", event => {
    closeMenus(event.target.closest(".drop a[hx-get]") ? null : event.target.closest("details.menu"));
    const opener = event.target.closest("[data-open]");
    if (opener) { closeMenus(null); one("#" + opener.dataset.open)?.showModal(); }
    const closed = event.target.closest("[data-close]")?.closest("dialog") || (event.target.nodeName === "DIALOG" && event.target);
    if (closed) { event.preventDefault(); if (leaving(closed)) closed.close(); }
    if (event.target.closest("[data-drawer]")) one(".side")?.classList.toggle("open");
    else if (!event.target.closest(".side")) one(".side.open")?.classList.remove("open");
    if (event.target.closest("[data-print]")) print();
    const copy = event.target.closest("[data-copy]");
    if (copy) navigator.clipboard?.writeText(one(copy.dataset.copy).value).then(() => toast({ text: copy.dataset.done }));
  });
  on("htmx:afterSwap", event => {
    const dialog = event.detail.target.closest?.("dialog");
    if (dialog && !dialog.open && dialog.childElementCount) dialog.showModal();
  });
  on("closeDialog", () => all("dialog[open]").forEach(dialog => dialog.close()));

  // ---- look: theme and density of this device
  const look = (name, value) => {
    try { localStorage.setItem(name, value); } catch { /* a browser without storage keeps the system's look */ }
    dispatchEvent(new Event("tangram:look")); showLook();
  };
  const showLook = () => all("[data-look]").forEach(button => {
    const [name, value] = button.dataset.look.split(":");
    button.setAttribute("aria-pressed", String((name === "theme" ? document.documentElement.dataset.themeChoice : document.documentElement.dataset.density) === value));
  });
  on("click", event => { const button = event.target.closest("[data-look]"); if (button) look(...button.dataset.look.split(":")); });

  on("change", event => { if (event.target.matches("[data-submit]")) event.target.form.requestSubmit(); });

  // ---- keyboard
  const typing = element => element?.matches?.("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");
  on("keydown", event => {
    if (event.key === "Escape") {
      const menu = event.target.closest?.("details.menu[open]");
      if (menu) { menu.open = false; one("summary", menu).focus(); return; }
      const cell = event.target.closest?.("td.editing");
      if (cell) { htmx.trigger(cell, "cancel"); return; }
      one(".side.open")?.classList.remove("open");
    }
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") { event.target.closest?.("form")?.requestSubmit(); return; }
    if (typing(event.target)) return;
    if (event.key === "/" && one("#search-all")) { event.preventDefault(); one("#search-all").focus(); }
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const row = event.target.closest?.(".table tbody tr");
      const next = row && (event.key === "ArrowDown" ? row.nextElementSibling : row.previousElementSibling);
      const link = next && one(event.target.matches("[name=ids]") ? "[name=ids]" : "td.title a", next);
      if (link) { event.preventDefault(); link.focus(); }
    }
  });

  // ---- lists: what is typed has been asked for by the time the search box loses the focus. Asking once more then, as for any other filter that changed,
  // brings the list anew under the mouse that was just pressed on one of its links, and the click is lost.
  on("change", event => { if (event.target.matches("#filters input[type=search]")) event.stopImmediatePropagation(); }, true);

  // ---- lists: choosing rows
  let last = null;
  const bulk = (every = false) => {
    const chosen = all("input[name=ids]:checked"), bar = one("#bulk");
    if (!bar) return;
    const whole = chosen.length > 0 && chosen.length === all("input[name=ids]").length;
    bar.hidden = !chosen.length;
    bar.toggleAttribute("data-every", every);
    one("#bulk-count", bar).textContent = chosen.length;
    one("#bulk-count", bar).parentElement.hidden = every;
    one("#bulk-every", bar).hidden = !every;
    one("[data-choose-every]", bar).hidden = every || !whole || !one("#more");
    const head = one("[data-all]");
    if (head) { head.checked = whole; head.indeterminate = chosen.length > 0 && !whole; }
  };
  on("change", event => {
    if (event.target.matches("[data-all]")) all("input[name=ids]").forEach(box => { box.checked = event.target.checked; });
    if (event.target.matches("[data-all], [name=ids]")) bulk();
  });
  on("click", event => {
    const box = event.target.closest("input[name=ids]");
    if (!box) return;
    const boxes = all("input[name=ids]");
    if (event.shiftKey && last && boxes.includes(last)) {
      const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b);
      boxes.slice(from, to + 1).forEach(item => { item.checked = box.checked; });
    }
    last = box; bulk();
  });
  on("click", event => {
    if (!event.target.closest("[data-choose-none]")) return;
    all("input[name=ids]:checked").forEach(box => { box.checked = false; }); bulk();
  });
  on("click", event => { if (event.target.closest("[data-choose-every]")) bulk(true); });
  on("htmx:configRequest", event => {
    if (event.target.closest?.("#bulk[data-every]")) event.detail.parameters["every:"] = "1";
    else if (event.target.closest?.("#bulk, [data-with-ids]")) event.detail.parameters.ids = all("input[name=ids]:checked").map(box => box.value);
  });

  // ---- kanban: dragging; a refused move goes back
  const move = (card, lane, back) => {
    const list = card.closest("[data-kanban]");
    const done = event => {
      if (event.detail.elt !== card && event.detail.target !== card) return;
      document.removeEventListener("htmx:afterRequest", done);
      if (!event.detail.xhr || event.detail.xhr.status >= 400 || !event.detail.xhr.status) back();
    };
    on("htmx:afterRequest", done);
    htmx.ajax("POST", lane.dataset.kanban || list.dataset.kanban, { source: card, target: card, swap: "outerHTML", values: { id: card.dataset.id, version: card.dataset.version, value: lane.dataset.value } });
  };
  const sortables = root => {
    if (!window.Sortable) return;
    const lanes = all("[data-kanban]", root);
    if (root.matches?.("[data-kanban]")) lanes.push(root);
    lanes.forEach(lane => {
      if (lane.sortable) return;
      lane.sortable = Sortable.create(lane, {
        group: "lanes", animation: 120, ghostClass: "drag-ghost", delay: 160, delayOnTouchOnly: true, draggable: ".kcard", filter: "a, button, summary", preventOnFilter: false,
        sort: false,
        onEnd: event => {
          if (event.from === event.to) return;
          const before = event.from.children[event.oldIndex] || null;
          move(event.item, event.to, () => event.from.insertBefore(event.item, before));
        },
      });
    });
  };
  on("click", event => {
    const button = event.target.closest("[data-move-to]");
    if (!button) return;
    const card = button.closest(".kcard"), from = card.parentElement, before = card.nextElementSibling;
    const lane = all("[data-kanban]").find(item => item.dataset.value === button.dataset.moveTo);
    if (!lane || lane === from) return;
    button.closest("details").open = false;
    lane.prepend(card);
    move(card, lane, () => from.insertBefore(card, before));
  });

  // ---- a grid of cells: one stop for the tab key, arrows between cells, a tap opens what can be done
  const firstCells = () => all("[data-cells]").forEach(grid => { const cell = one("a.cell", grid); if (cell && !one("a.cell[tabindex='0']", grid)) cell.tabIndex = 0; });
  on("click", event => {
    const cell = event.target.closest("[data-cells] a.cell");
    if (!cell || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    htmx.ajax("GET", cell.closest("[data-cells]").dataset.cells + cell.getAttribute("href").split("/").pop(), { source: cell, target: "#dialog", swap: "innerHTML" });
  });
  on("keydown", event => {
    const cell = event.target.closest?.("[data-cells] a.cell");
    const [across, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [0, 0];
    if (!cell || (!across && !down)) return;
    event.preventDefault();
    let row = cell.closest("tr"), index = cell.closest("td").cellIndex, next = null;
    while (!next) {
      if (across) index += across; else row = down > 0 ? row.nextElementSibling : row.previousElementSibling;
      if (!row || index < 1 || index >= row.cells.length) return;
      next = one("a.cell", row.cells[index]);
    }
    cell.tabIndex = -1; next.tabIndex = 0; next.focus();
  });

  // ---- pickers: one or many records, tags
  const label = (text, template) => { const made = template.content.firstElementChild.cloneNode(true); one("[data-text]", made).textContent = text; return made; };
  const pick = (box, value, text) => {
    const input = one("[role=combobox], input[type=text]", box), holder = one("[data-picked]", box);
    if (box.matches("[data-many], [data-tags]")) {
      if (value && !all("input[type=hidden]", holder).some(item => item.value === value)) {
        const chip = label(text, one("#chip"));
        const hidden = Object.assign(document.createElement("input"), { type: "hidden", name: box.dataset.name, value });
        chip.append(hidden);
        holder.insertBefore(chip, holder.contains(input) ? input : null);
      }
      input.value = "";
    } else {
      const hidden = one("input[type=hidden]", holder);
      hidden.value = value; input.value = text; input.dataset.kept = text;
    }
    closeOptions(box);
    one("input[type=hidden]", holder).dispatchEvent(new Event("change", { bubbles: true }));
  };
  const closeOptions = box => { const list = one(".options", box); if (list) { list.replaceChildren(); one("[role=combobox]", box)?.setAttribute("aria-expanded", "false"); } };
  on("htmx:afterSwap", event => {
    const list = event.detail.target;
    if (!list.matches?.(".options")) return;
    one("[role=combobox]", list.closest(".pick"))?.setAttribute("aria-expanded", String(list.childElementCount > 0));
    if (list.closest("dialog")) list.scrollIntoView({ block: "nearest" });
  });
  on("click", event => {
    const option = event.target.closest(".pick .options [role=option]");
    if (option) { pick(option.closest(".pick"), option.dataset.value, option.dataset.label); return; }
    const remove = event.target.closest("[data-unpick]");
    if (remove) {
      const holder = remove.closest("[data-picked]");
      remove.closest(".chip").remove();
      holder.dispatchEvent(new Event("change", { bubbles: true }));
    }
    all(".pick").forEach(box => { if (!box.contains(event.target)) closeOptions(box); });
  });
  on("keydown", event => {
    const box = event.target.closest?.(".pick");
    if (!box) return;
    const options = all(".options [role=option]", box), chosen = options.findIndex(item => item.getAttribute("aria-selected") === "true");
    if ((event.key === "ArrowDown" || event.key === "ArrowUp") && options.length) {
      event.preventDefault();
      const next = (chosen + (event.key === "ArrowDown" ? 1 : options.length - 1 + (chosen < 0 ? 1 : 0))) % options.length;
      options.forEach((item, index) => item.setAttribute("aria-selected", String(index === next)));
      options[next].scrollIntoView({ block: "nearest" });
      event.target.setAttribute("aria-activedescendant", options[next].id);
    } else if (event.key === "Enter" && options.length) {
      event.preventDefault();
      const option = options[Math.max(0, chosen)];
      pick(box, option.dataset.value, option.dataset.label);
    } else if (box.matches("[data-tags]") && (event.key === "Enter" || event.key === "," || event.key === "，") && event.target.value.trim()) {
      event.preventDefault();
      pick(box, event.target.value.trim(), event.target.value.trim());
    } else if (event.key === "Escape" && options.length) { event.stopPropagation(); closeOptions(box); }
  });
  // What is typed in a form and not chosen goes along, marked, so that the server asks for it instead of saving without it.
  on("input", event => {
    const box = event.target.matches("[role=combobox]") && event.target.closest(".pick:not([data-many])");
    if (!box) return;
    const words = event.target.value.trim(), holder = one("[data-picked] input", box);
    if (box.closest("form.form")) holder.value = words && `?${words}`;
    else if (!words) holder.value = "";
  });
  on("focusout", event => {
    const box = event.target.closest?.(".pick:not([data-many])");
    if (!box || box.contains(event.relatedTarget)) return;
    if (box.matches("[data-tags]")) {
      if (event.target.matches("input[type=text]") && event.target.value.trim()) pick(box, event.target.value.trim(), event.target.value.trim());
    } else if (!box.closest("form.form")) {
      if (event.target.dataset.kept !== undefined && one("[data-picked] input", box).value) event.target.value = event.target.dataset.kept;
      else if (!one("[data-picked] input", box).value) event.target.value = "";
    }
  });

  // ---- files: stored as soon as they are chosen
  const upload = (box, files) => [...files].forEach(file => {
    const request = new XMLHttpRequest(), bar = one("progress", box), data = new FormData();
    data.append("file", file);
    data.append("name", box.dataset.name);
    request.open("POST", box.dataset.upload);
    request.setRequestHeader("X-CSRF-Token", csrf());
    request.setRequestHeader("HX-Request", "true");
    request.upload.onprogress = event => { bar.hidden = false; bar.value = 100 * event.loaded / event.total; };
    request.onload = () => {
      bar.hidden = true;
      const told = request.getResponseHeader("HX-Trigger");
      if (told) { const found = JSON.parse(told).toast; if (found) toast(found); }
      if (request.status >= 300) return;
      const holder = one("[data-picked]", box);
      if (!box.matches("[data-many]")) holder.replaceChildren();
      holder.insertAdjacentHTML("beforeend", request.responseText);
      holder.dispatchEvent(new Event("change", { bubbles: true }));
    };
    request.onerror = () => { bar.hidden = true; toast({ text: words("msgOffline"), kind: "error" }); };
    request.send(data);
  });
  on("change", event => {
    const box = event.target.matches("input[type=file]") && event.target.closest("[data-files]");
    if (box) { upload(box, event.target.files); event.target.value = ""; }
  });
  on("dragover", event => { const box = event.target.closest?.("[data-files]"); if (box) { event.preventDefault(); box.classList.add("over"); } });
  on("dragleave", event => event.target.closest?.("[data-files]")?.classList.remove("over"));
  on("drop", event => {
    const box = event.target.closest?.("[data-files]");
    if (box) { event.preventDefault(); box.classList.remove("over"); upload(box, event.dataTransfer.files); }
  });

  // ---- one file for a whole form: its name is told, it may be dropped
  on("change", event => { if (event.target.matches("[data-file-pick]") && event.target.files[0]) one("[data-file-name]", event.target.closest("label")).textContent = event.target.files[0].name; });
  on("dragover", event => { if (event.target.closest?.(".file-pick")) event.preventDefault(); });
  on("drop", event => {
    const input = one("[data-file-pick]", event.target.closest?.(".file-pick") || document.createElement("i"));
    if (!input) return;
    event.preventDefault();
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });

  // ---- rich text: a plain textarea becomes an editable area; the server keeps allowed marks only
  const rich = root => all("[data-rich]", root).forEach(box => {
    const source = one("textarea", box);
    if (box.dataset.ready || source.readOnly) return;
    box.dataset.ready = "1";
    const area = Object.assign(document.createElement("div"), { className: "textarea rich", contentEditable: "true", innerHTML: source.value });
    area.setAttribute("role", "textbox"); area.setAttribute("aria-multiline", "true");
    area.setAttribute("aria-labelledby", source.id + "-label");
    area.addEventListener("input", () => { source.value = area.innerHTML; });
    area.addEventListener("paste", event => { event.preventDefault(); document.execCommand("insertText", false, event.clipboardData.getData("text/plain")); });
    source.hidden = true;
    source.after(area);
    one("[role=toolbar]", box).hidden = false;
    all("[data-rich-command]", box).forEach(button => button.addEventListener("click", () => { area.focus(); document.execCommand(button.dataset.richCommand, false); source.value = area.innerHTML; }));
  });

  // ---- forms: a visited field is checked by the server; one that others depend on brings the form anew
  // Only what is being typed into is left alone: a button that has the focus must say what it does now.
  const inField = () => document.activeElement?.matches("input, textarea, select, [contenteditable=true]") ?? false;
  Object.defineProperty(Idiomorph.defaults, "ignoreActiveValue", { get: inField, enumerable: true });
  const mark = (form, name) => {
    const kept = one("[name='touched:']", form), known = new Set(kept.value.split(",").filter(Boolean));
    kept.value = [...known.add(name)].join(",");
  };
  on("change", event => {
    const form = event.target.closest?.("form[data-guard]"), name = event.target.name || event.target.closest?.("[data-pick]")?.dataset.name;
    if (!form || !name || (event.target.form ?? form) !== form || /[:[]/.test(name)) return;
    if (one("[name='touched:']", form)) mark(form, name);
    const asker = event.target.closest("[data-refresh]") && one("[data-refresher]", form);
    if (asker) htmx.trigger(asker, "refresh");
    else if (form.dataset.check) check(form);
  });
  on("focusout", event => {
    const field = event.target, form = field.closest?.("form[data-check]");
    if (!form || field.form !== form || !field.matches("input[aria-required], textarea[aria-required]") || field.value || /[:[]/.test(field.name)) return;
    mark(form, field.name);
    check(form);
  });
  let checks = 0;
  on("htmx:beforeRequest", event => { if (event.target.matches?.("form[data-check]")) checks += 1; });  // what a save says is not wiped out by a check begun before
  const check = form => {
    const number = checks += 1;
    fetch(form.dataset.check, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { "X-CSRF-Token": csrf(), "HX-Request": "true" } })
      .then(answer => answer.ok ? answer.text() : "")
      .then(html => { if (html && number === checks && form.isConnected) htmx.swap(form, html, { swapStyle: "none" }, { eventInfo: { target: form } }); })
      .catch(() => {});
  };

  // ---- forms: what was typed is not lost by leaving, nor a fault by scrolling
  const clean = form => { if (form) delete form.dataset.dirty; };
  on("input", event => { const form = event.target.closest?.("form[data-guard]"); if (form) form.dataset.dirty = "1"; });
  on("change", event => { const form = event.target.closest?.("form[data-guard]"); if (form && event.isTrusted) form.dataset.dirty = "1"; });
  on("htmx:beforeOnLoad", event => { if (event.detail.xhr.getResponseHeader("HX-Redirect")) clean(event.detail.elt.closest?.("form[data-guard]")); });
  on("submit", event => { if (!event.target.hasAttribute("hx-post")) clean(event.target); });
  on("htmx:afterSettle", event => {
    const form = one("form[data-guard]");
    if (!form || ![409, 422].includes(event.detail.xhr?.status)) return;
    form.dataset.dirty = "1";
    const wrong = all(".faulty input:not([type=hidden]), .faulty select, .faulty textarea, .lines [aria-invalid=true], #form-errors", form).find(item => item.offsetParent);
    wrong?.focus();
  });
  addEventListener("beforeunload", event => { if (one("form[data-guard][data-dirty]")) event.preventDefault(); });
  const leaving = dialog => !one("form[data-guard][data-dirty]", dialog) || confirm(words("msgUnsaved"));
  on("cancel", event => { if (event.target.nodeName === "DIALOG" && !leaving(event.target)) event.preventDefault(); }, true);
  on("close", event => { if (event.target.id === "dialog") event.target.replaceChildren(); }, true);

  // ---- tabs: one part at a time; a form keeps the chosen one for the server ([data-keep-tab])
  const chooseTab = (tab, focus = false) => {
    const list = tab.closest("[role=tablist]");
    all("[role=tab]", list).forEach(item => {
      const chosen = item === tab, panel = document.getElementById(item.getAttribute("aria-controls"));
      item.setAttribute("aria-selected", String(chosen)); item.tabIndex = chosen ? 0 : -1;
      panel?.toggleAttribute("data-off", !chosen);
    });
    const kept = one("[data-keep-tab]", list.closest("[data-tabs]"));
    if (kept) kept.value = tab.dataset.tab;
    else history.replaceState(history.state, "", tab.matches(":first-child") ? location.pathname + location.search : `#${tab.id}`);
    if (focus) tab.focus();
    if (tab.dataset.fetched !== undefined && !document.getElementById(tab.dataset.fetched).childElementCount) htmx.trigger(tab, "chosen");
  };
  on("click", event => { const tab = event.target.closest("[data-tabs] [role=tab]"); if (tab) chooseTab(tab); });
  on("keydown", event => {
    const tab = event.target.closest?.("[data-tabs] [role=tab]");
    if (!tab || !["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return;
    event.preventDefault();
    const tabs = all("[role=tab]", tab.closest("[role=tablist]")), at = tabs.indexOf(tab), last = tabs.length - 1;
    chooseTab(tabs[event.key === "Home" ? 0 : event.key === "End" ? last : event.key === "ArrowRight" ? (at + 1) % tabs.length : (at + last) % tabs.length], true);
  });

  // The chosen part stands in the address: a page drawn anew, loaded again or come back to shows what was being read.
  const tellTab = () => { const tab = document.getElementById(location.hash.slice(1)); if (tab?.matches("[data-tabs] [role=tab]")) chooseTab(tab); };
  on("htmx:afterSwap", event => { if (event.detail.target.id === "main") tellTab(); });

  // htmx tells of the page itself a moment after its scripts ran; what a page brings of its own (design.js) has heard it by then.
  htmx.onLoad(root => { sortables(root); rich(root); inSight(root); firstCells(); showLook(); bulk(); if (root === document.body) tellTab(); document.documentElement.dataset.ready = "1"; });
  if (matchMedia("(max-width: 900px)").matches) one(".day.today")?.scrollIntoView();
  all("dialog[data-show]").forEach(dialog => dialog.showModal());
  all("#toasts [data-flash]").forEach(item => { toast({ text: item.dataset.flash, kind: item.dataset.kind, undo: item.dataset.undo }); item.remove(); });
})();
