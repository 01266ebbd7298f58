globalThis.antiphonTexts={"plurals":["one","other"],"texts":{}};
