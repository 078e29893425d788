// Makes and finds elements of the page. Nothing sets markup or style as text: the server's policy forbids it.

export const find = (id) => document.getElementById(id);

/** An element with properties (`class`, `aria-…`, `data-…` and `on…` too) and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (name in made && !name.includes("-")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Open a dialog at its top; the button `[data-close]` closes it, as Escape does. */
export function openDialog(dialog) {
  dialog.querySelectorAll("[data-close]").forEach((button) => {
    button.onclick = () => dialog.close();
  });
  if (dialog.open) return;
  dialog.showModal();
  dialog.scrollTop = 0; // it scrolled down to the button that has the focus
}

/** Show a text, unless it is shown already: a screen reader reads each change. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}
