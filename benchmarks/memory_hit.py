async def measure(): return None
