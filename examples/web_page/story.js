// Submits a task, follows it, and shows its text while it is written. What comes from the
// agent is put on the page as text, never as HTML.
"use strict";

const tasks = "agents/tasks";
const form = document.getElementById("ask");
const cancel = document.getElementById("cancel");
const status = document.getElementById("status");
const story = document.getElementById("story");
let source = null;

async function send(path, body) {
  const headers = { "Content-Type": "application/json" };
  // Django's own guard against other sites' pages; other hosts have no such cookie.
  const token = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/);
  if (token) headers["X-CSRFToken"] = token[1];
  const answer = await fetch(path, {
    method: "POST",
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.detail);
  return content;
}

function follow(id) {
  // The browser comes back by itself when the connection is lost, and tells where it was.
  source = new EventSource(`${tasks}/${encodeURIComponent(id)}/events`);
  source.addEventListener("event", (event) => {
    status.textContent = JSON.parse(event.data).type;
  });
  source.addEventListener("text", (event) => {
    const piece = JSON.parse(event.data);
    if (piece.offset === 0) story.textContent = "";
    story.textContent += piece.text;
  });
  source.addEventListener("end", (event) => {
    source.close();
    cancel.disabled = true;
    status.textContent = `task.${JSON.parse(event.data).status}`;
  });
  cancel.onclick = () => send(`${tasks}/${encodeURIComponent(id)}/cancel`).catch(show);
  cancel.disabled = false;
}

function show(error) {
  status.textContent = error.message;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (source) source.close();
  story.textContent = "";
  try {
    const task = await send(tasks, { agent: "storyteller", input: form.topic.value });
    follow(task.id);
  } catch (error) {
    show(error);
  }
});
