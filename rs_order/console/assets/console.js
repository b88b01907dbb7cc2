// Writes times in the browser's zone, and keeps an open page up to date. Every page can be read without it.
"use strict";

(() => {
  const lang = document.documentElement.lang;
  const language = navigator.languages.find((one) => one.startsWith(lang)) ?? lang;
  const today = (time) => new Date().toDateString() === time.toDateString();
  const forms = {
    time: { hour: "2-digit", minute: "2-digit" },
    seconds: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
    date: { day: "numeric", month: "short" },
    day: { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" },
  };
  const written = (time, form) => new Intl.DateTimeFormat(language, { ...forms[form], hourCycle: "h23" }).format(time);

  function writeTimes(part) {
    for (const element of part.querySelectorAll("time[data-local]")) {
      const time = new Date(element.dateTime);
      element.textContent = written(time, today(time) ? "time" : "day");
    }
    for (const element of part.querySelectorAll("[data-time]")) {
      element.textContent = written(new Date(element.dataset.time), element.dataset.form);
    }
  }

  const region = () => document.getElementById("region");
  const refresh = () => region() && htmx.trigger(region(), "refresh");

  // Keep what somebody opened or chose while the page is written again.
  let opened = [];
  function remember() {
    opened = [...document.querySelectorAll("#region details")].map((one) => one.open);
  }
  function restore() {
    document.querySelectorAll("#region details").forEach((one, index) => { one.open = Boolean(opened[index]); });
  }
  const busy = () => {
    const active = document.activeElement;
    return active && active.closest("#region") && /^(INPUT|SELECT|TEXTAREA)$/.test(active.tagName);
  };

  // A tab that nobody sees has no stream: browsers open six connections to a host at most.
  let live = null;
  function follow() {
    const present = document.getElementById("live");
    if (document.hidden && present) {
      live = present.cloneNode(true);
      htmx.remove(present);
    } else if (!document.hidden && live) {
      document.body.append(live);
      htmx.process(live);
      live = null;
      refresh();
    }
  }

  // Some lists have no events: they are looked at every two seconds, while somebody sees them and chooses nothing.
  const chosen = () => document.querySelector("#region input:checked") || document.querySelector("#region textarea");
  setInterval(() => {
    const polled = region() && region().hasAttribute("data-poll");
    if (polled && !document.hidden && !busy() && !chosen()) refresh();
  }, 2000);

  document.addEventListener("change", (event) => {
    if (!event.target.matches("input[data-all]")) return;
    for (const one of document.querySelectorAll("#region input[name=ids]")) one.checked = event.target.checked;
  });

  const trouble = document.getElementById("trouble");
  let lastGood = trouble ? new Date(trouble.dataset.since) : null;
  let again = null;
  function failed() {
    trouble.textContent = `${trouble.dataset.text} ${written(lastGood, today(lastGood) ? "seconds" : "day")}`;
    trouble.hidden = false;
    clearTimeout(again);
    again = setTimeout(refresh, 3000);
  }

  document.addEventListener("DOMContentLoaded", () => writeTimes(document));
  if (document.readyState !== "loading") writeTimes(document);
  document.addEventListener("visibilitychange", follow);
  document.addEventListener("htmx:sseMessage", () => { if (!busy()) refresh(); });
  document.addEventListener("htmx:sseError", () => { again = setTimeout(refresh, 3000); });
  document.addEventListener("htmx:beforeSwap", remember);
  document.addEventListener("htmx:afterSettle", () => { restore(); writeTimes(document); });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (!event.detail.successful) return;
    lastGood = new Date();
    trouble.hidden = true;
  });
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status >= 500) failed();
    else location.reload();
  });
  document.addEventListener("htmx:sendError", failed);
})();
