// Passkeys (WebAuthn): a form with data-passkey asks the browser for one and posts what it answers.

/** @param {string} text base64url @returns {ArrayBuffer} */
const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0)).buffer;

/** @param {ArrayBuffer} data @returns {string} base64url */
const text = (data) => btoa(String.fromCharCode(...new Uint8Array(data))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

/** What the browser's API wants in place of what the server sent as JSON. @param {any} options */
function read(options) {
  const known = (/** @type {any[]} */ list) => list?.map((one) => ({ ...one, id: bytes(one.id) }));
  const found = { ...options, challenge: bytes(options.challenge) };
  if (options.user) found.user = { ...options.user, id: bytes(options.user.id) };
  if (options.excludeCredentials) found.excludeCredentials = known(options.excludeCredentials);
  if (options.allowCredentials) found.allowCredentials = known(options.allowCredentials);
  return found;
}

/** @param {any} credential what the browser answered; as JSON */
function written(credential) {
  const { response } = credential;
  /** @type {Record<string, unknown>} */
  const said = { clientDataJSON: text(response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) said[name] = text(response[name]);
  }
  if (response.getTransports) said.transports = response.getTransports();
  return {
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: said,
  };
}

/** @param {HTMLFormElement} form */
async function ask(form) {
  const kind = form.dataset.passkey;
  if (kind === "log-in") {
    const answer = await fetch(form.action, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new TypeError(`${answer.status}`);
    return written(await navigator.credentials.get({ publicKey: read((await answer.json()).request_options.publicKey) }));
  }
  const data = JSON.parse(form.querySelector("#passkey-options")?.textContent ?? "{}");
  if (kind === "get") return written(await navigator.credentials.get({ publicKey: read(data.request_options.publicKey) }));
  const publicKey = read(data.creation_options.publicKey);
  const box = /** @type {HTMLInputElement | null} */ (form.elements.namedItem("passwordless"));
  const isAlone = Boolean(box?.checked);
  publicKey.authenticatorSelection = {
    ...publicKey.authenticatorSelection,
    residentKey: isAlone ? "required" : "discouraged",
    requireResidentKey: isAlone,
    ...(isAlone ? { userVerification: "required" } : {}),
  };
  return written(await navigator.credentials.create({ publicKey }));
}

/** @param {HTMLFormElement} form */
function start(form) {
  const button = /** @type {HTMLButtonElement} */ (form.querySelector("button[type=submit]"));
  const trouble = /** @type {HTMLElement} */ (form.querySelector("[role=alert]"));
  const fail = (/** @type {string | undefined} */ words) => {
    trouble.textContent = words ?? "";
    trouble.hidden = !words;
  };
  const isNamed = !/^(\d+\.){3}\d+$|^\[/.test(location.hostname); // an IP address can have no passkeys
  if (!window.PublicKeyCredential || !isNamed) {
    if (form.dataset.passkey === "create") fail(form.dataset.unsupported);
    else form.hidden = true;
    return;
  }
  button.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    fail("");
    button.disabled = true;
    try {
      const field = /** @type {HTMLInputElement} */ (form.elements.namedItem("credential"));
      field.value = JSON.stringify(await ask(form));
      form.submit();
    } catch (error) {
      const name = /** @type {Error} */ (error).name;
      fail(name === "InvalidStateError" ? form.dataset.known : name === "TypeError" ? form.dataset.away : form.dataset.refused);
      button.disabled = false;
    }
  });
}

document.querySelectorAll("form[data-passkey]").forEach((form) => start(/** @type {HTMLFormElement} */ (form)));
