// Times of the pages in the reader's own zone; the exact time in UTC stays on hover.
"use strict";

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

// As the server writes it, but here: 2026-01-31 17:20
function inZone(moment) {
  const two = (number) => String(number).padStart(2, "0");
  const day = [moment.getFullYear(), two(moment.getMonth() + 1), two(moment.getDate())].join("-");
  return `${day} ${two(moment.getHours())}:${two(moment.getMinutes())}`;
}

function translate(root) {
  for (const shown of root.querySelectorAll("time[datetime]:not([data-zone])")) {
    const moment = new Date(shown.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    shown.dataset.zone = zone;
    shown.textContent = inZone(moment);
  }
}

translate(document);
document.addEventListener("htmx:afterSettle", () => translate(document));
const said = document.getElementById("zone");
if (said && zone) said.textContent = `times are of ${zone}, those on hover UTC`;
