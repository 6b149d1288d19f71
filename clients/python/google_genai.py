"""Google's SDK, streamed; it calls the functions by itself."""

from google import genai
from google.genai import types
from shop import SYSTEM, TASK, order, stock

client = genai.Client()
chat = client.chats.create(
    model="gemini-2.5-flash",
    config=types.GenerateContentConfig(system_instruction=SYSTEM, tools=[stock, order]),
)
print("".join(chunk.text or "" for chunk in chat.send_message_stream(TASK)))
