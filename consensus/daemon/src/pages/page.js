// Copies the text beside a button. Without it people select and copy by hand.
"use strict";
for (const button of document.querySelectorAll("[data-copy]")) {
  const text = button.parentElement.querySelector("textarea");
  button.hidden = false;
  button.addEventListener("click", async () => {
    text.select();
    try {
      await navigator.clipboard.writeText(text.value);
    } catch {
      document.execCommand("copy");
    }
    button.textContent = "Copied";
  });
}

// Looks again once there is something new. Without it the browser looks from time to time.
const changes = document.body.dataset.changes;
if (changes) {
  fetch(changes).then((answer) => {
    if (answer.ok) {
      location.reload();
    }
  });
}
